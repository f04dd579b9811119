package localvault

// NewKey makes a Key of raw bytes.
func NewKey(b [KeySize]byte) Key { return Key{b} }

// AtStep has step told how far a change of the key is.
func (cfg Config) AtStep(step func(string)) Config {
	cfg.step = step
	return cfg
}

// RekeySteps are what step is told, in order.
var RekeySteps = []string{"begun", "key written", "store written", "done"}
