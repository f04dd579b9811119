package httpapi

// DecodeStrict is what reads the body of every request.
var DecodeStrict = decodeStrict
