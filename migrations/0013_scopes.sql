-- The number is taken by another change, which takes the place of this file.
UPDATE installation SET id = id;
