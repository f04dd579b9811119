package httpapi

// DecodeStrict is what reads the body of every request.
var DecodeStrict = decodeStrict

// Reported reads a machine's report.
var Reported = reported
