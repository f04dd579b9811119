package cli

import "leger.run/leger"

func (a *app) autoIsOn(leger.ReleaseName) (bool, error) { return false, nil }
