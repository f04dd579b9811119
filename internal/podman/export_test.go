package podman

// SplitUnits and ParseContainers read what Podman prints.
var (
	SplitUnits      = splitUnits
	ParseContainers = parseContainers
)
