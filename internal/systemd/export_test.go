package systemd

// Complaints reads what systemd-analyze verify says.
var Complaints = complaints
