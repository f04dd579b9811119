package wire

// OwnerInvite is the body of POST /api/operator/invitations: who is invited. Name is the
// machine's.
type OwnerInvite struct {
	Email           string `json:"email"`
	TailscaleUserID string `json:"tailscale_user_id,omitempty"`
	Tailnet         string `json:"tailnet,omitempty"`
	Name            string `json:"name,omitempty"`
}

// OwnerInvited is the answer of POST /api/operator/invitations.
type OwnerInvited struct {
	InvitationMade

	User    User `json:"user"`
	Created bool `json:"created"` // the account was made for this
}

// Rekey is the body of POST /api/operator/rekey. Cursor is the Next of the answer before;
// empty begins.
type Rekey struct {
	Cursor string `json:"cursor,omitempty"`
}

// Rekeyed is the answer of POST /api/operator/rekey.
type Rekeyed struct {
	KeyID    string   `json:"key_id"`           // of the key that records are sealed with
	Resealed int      `json:"resealed"`         // records that this request sealed
	Passed   int      `json:"passed"`           // records that were looked at so far
	Total    int      `json:"total"`            // records that there were when it began
	Next     string   `json:"next,omitempty"`   // the cursor to go on with; empty: it is done
	Former   []string `json:"former,omitempty"` // once it is done: ids of the keys that seal nothing any more
}
