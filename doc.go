// Package leger holds the nouns of Leger and their rules: secrets, releases,
// users, sessions, machines and the audit log, the values they are made of, the
// errors they raise, and the contracts of the stores that keep them.
//
// A value of one of the parsed types (SecretName, ReleaseName, GitURL, GitRef,
// GitPath, UserID) that is not the zero value is valid: the only way to make
// one is its Parse function. The package does no I/O and imports only the
// standard library.
package leger
