package localvault

// NewKey makes a Key of raw bytes.
func NewKey(b [KeySize]byte) Key { return Key{b} }
