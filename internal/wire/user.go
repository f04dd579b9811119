package wire

import "leger.run/leger"

// AuthMethods is the answer of GET /api/auth/methods: the ways to sign in that the
// server accepts, the one it prefers first. Clients pass over names they do not know.
type AuthMethods struct {
	// Server is the origin by which tokens must name the server; "" from an older one.
	Server  string       `json:"server"`
	Methods []AuthMethod `json:"methods"`
}

// AuthMethod is one way to sign in. It is an object so that a way may say more of
// itself later.
type AuthMethod struct {
	Name leger.SignInMethod `json:"name"`
}

// ValidateRequest is the optional body of POST /api/auth/validate.
type ValidateRequest struct {
	// Session false checks the token and refreshes the account without signing a
	// browser in: what the CLI asks for. Absent means true.
	Session *bool `json:"session,omitempty"`
}

// SignInLink is the answer of POST /api/sessions:link. Whoever opens the URL is signed in
// as who made it, once.
type SignInLink struct {
	URL       string `json:"url"`
	ExpiresAt Time   `json:"expires_at"`
}

// Validated is the answer of POST /api/auth/validate.
type Validated struct {
	User User `json:"user"`
	Installation
}

// Installation says whose data an answer is, beside the answer's other fields.
// Version numbers can be compared only while both stay the same.
type Installation struct {
	Installation string `json:"installation"`
	Epoch        int64  `json:"epoch"`
}

// InstallationOf converts what the store knows.
func InstallationOf(in leger.Installation) Installation {
	return Installation{Installation: in.ID, Epoch: in.Epoch}
}

// Profile is the answer of GET and PATCH /api/user.
type Profile struct {
	User
	Installation
	// Machine is the one that asks, when one does with its own key.
	Machine *Machine `json:"machine,omitempty"`
	// Backup is nil where the platform keeps the data, or an older server answers.
	Backup *Backup `json:"backup,omitempty"`
}

// Backup says what was saved of the server's data.
type Backup struct {
	MadeAt    *Time `json:"made_at"` // null: there has never been a backup
	KeysSaved bool  `json:"keys_saved"`
}

// BackupOf converts what the server knows.
func BackupOf(b leger.BackupState) *Backup {
	w := &Backup{KeysSaved: b.KeysSaved}
	if !b.MadeAt.IsZero() {
		at := At(b.MadeAt)
		w.MadeAt = &at
	}
	return w
}

// User is an account as its owner sees it.
type User struct {
	UserUUID             leger.UserID `json:"user_uuid"`
	Email                string       `json:"email"`
	DisplayName          *string      `json:"display_name"`
	Tailnet              string       `json:"tailnet"`
	TailscaleUserID      string       `json:"tailscale_user_id"`
	CreatedAt            Time         `json:"created_at"`
	LastSeen             Time         `json:"last_seen"`
	TotalAuthentications int64        `json:"total_authentications"`
}

// UserOf converts an account.
func UserOf(u leger.User) User {
	w := User{
		UserUUID: u.ID, Email: u.Email, Tailnet: u.Tailnet,
		TailscaleUserID: u.TailscaleUserID.String(),
		CreatedAt:       At(u.CreatedAt), LastSeen: At(u.LastSeen),
		TotalAuthentications: u.TotalAuthentications,
	}
	if u.DisplayName != "" {
		w.DisplayName = &u.DisplayName
	}
	return w
}

// UserPatch is the body of PATCH /api/user.
type UserPatch struct {
	DisplayName string `json:"display_name"`
}

// UserDelete is the body of DELETE /api/user: the e-mail, typed by its owner.
type UserDelete struct {
	Email string `json:"email"`
}

// Sessions is the answer of GET /api/sessions.
type Sessions struct {
	Sessions []Session `json:"sessions"`
}

// Session is one signed-in browser.
type Session struct {
	ID         string `json:"id"`
	Current    bool   `json:"current"` // the one that asks
	CreatedAt  Time   `json:"created_at"`
	LastSeen   Time   `json:"last_seen"`
	ExpiresAt  Time   `json:"expires_at"`
	UserAgent  string `json:"user_agent"`
	RemoteAddr string `json:"remote_addr"`
}

// SignedOut is the answer of DELETE /api/sessions.
type SignedOut struct {
	Deleted  bool `json:"deleted"`
	Sessions int  `json:"sessions"` // how many ended
}

// AuditEvents is the answer of GET /api/audit, newest first.
type AuditEvents struct {
	Events     []AuditEvent `json:"events"`
	NextCursor string       `json:"next_cursor,omitempty"`
}

// AuditEvent is who did what.
type AuditEvent struct {
	ID         int64            `json:"id"`
	At         Time             `json:"at"`
	Action     leger.Action     `json:"action"`
	Subject    string           `json:"subject,omitempty"`
	Version    leger.Version    `json:"version,omitempty"`
	Count      int              `json:"count,omitempty"`
	Credential leger.Credential `json:"credential"`
	DeviceID   string           `json:"device_id,omitempty"`
	RemoteAddr string           `json:"remote_addr,omitempty"`
	RequestID  string           `json:"request_id,omitempty"`
	Detail     string           `json:"detail,omitempty"`
}

// AuditEventOf converts an event.
func AuditEventOf(e leger.AuditEvent) AuditEvent {
	return AuditEvent{
		ID: e.ID, At: At(e.At), Action: e.Action, Subject: e.Subject, Version: e.Version, Count: e.Count,
		Credential: e.Credential, DeviceID: e.DeviceID, RemoteAddr: e.RemoteAddr, RequestID: e.RequestID, Detail: e.Detail,
	}
}
