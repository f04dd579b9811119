package localvault

import (
	"strings"

	"leger.run/leger"
)

// namespace begins the names of Leger's secrets in the store.
const namespace = "leger/"

// StoredName is the name under which the store keeps a user's secret:
// leger/{user_uuid}/{name}.
func StoredName(user leger.UserID, name leger.SecretName) string {
	return namespace + user.String() + "/" + name.String()
}

// ParseStoredName takes a stored name apart. ok is false for the names of others,
// and for those that look like Leger's and are not.
func ParseStoredName(s string) (user leger.UserID, name leger.SecretName, ok bool) {
	rest, found := strings.CutPrefix(s, namespace)
	id, last, cut := strings.Cut(rest, "/")
	if !found || !cut {
		return leger.UserID{}, leger.SecretName{}, false
	}
	user, userErr := leger.ParseUserID(id)
	name, nameErr := leger.ParseSecretName(last)
	if userErr != nil || nameErr != nil {
		return leger.UserID{}, leger.SecretName{}, false
	}
	return user, name, true
}
