package report

// Bounded cuts a list of findings.
var Bounded = bounded
