package systemd

// Complaints reads what systemd-analyze verify says.
var Complaints = complaints

// Said picks the lines of a journal that tell why a unit is down.
var Said = said
