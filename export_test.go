package leger

// For the tests that hold them against package regexp.
var (
	IsFindingKind     = isFindingKind
	IsCommit          = isCommit
	IsReleaseName     = isReleaseName
	IsTailscaleUserID = isTailscaleUserID
	IsUUID            = isUUID
	IsSCPAddress      = isSCPAddress
)
