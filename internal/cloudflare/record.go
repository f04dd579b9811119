package cloudflare

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
)

// secretRecord is what KV holds under "secrets:{user_uuid}:{name}": exactly the
// specification's SecretRecord. last_accessed is as it was when the version was
// made, since reading writes nothing to KV.
type secretRecord struct {
	SecretID          string           `json:"secret_id"`
	User              leger.UserID     `json:"user_uuid"`
	Name              leger.SecretName `json:"name"`
	EncryptedValue    string           `json:"encrypted_value"`
	Nonce             string           `json:"nonce"`
	EncryptionVersion int              `json:"encryption_version"`
	Version           leger.Version    `json:"version"`
	CreatedAt         string           `json:"created_at"`
	UpdatedAt         string           `json:"updated_at"`
	LastAccessed      *string          `json:"last_accessed"`
}

// secretMetadata is the record's KV metadata: what the record of the
// specification has no room for, and what tells its age without opening it.
type secretMetadata struct {
	Version   leger.Version `json:"version"`
	UpdatedAt string        `json:"updated_at"`
	KeyID     string        `json:"key_id"`
	// Sum tells a record that was damaged or changed by hand from one that is whole.
	Sum string `json:"sum"`
}

func (r *secretRecord) sum() string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s %s %d", r.EncryptedValue, r.Nonce, r.EncryptionVersion)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func secretKey(user leger.UserID, name leger.SecretName) string {
	return secretPrefix(user) + name.String()
}

func secretPrefix(user leger.UserID) string { return "secrets:" + user.String() + ":" }

func userKey(id leger.UserID) string { return "user:" + id.String() }

func secretEntry(s *leger.SealedSecret) entry {
	r := secretRecord{
		SecretID: s.ID, User: s.User, Name: s.Name,
		EncryptedValue: base64.StdEncoding.EncodeToString(s.Ciphertext), Nonce: base64.StdEncoding.EncodeToString(s.Nonce),
		EncryptionVersion: s.EncryptionVersion, Version: s.Version,
		CreatedAt: ledger.Timestamp(s.CreatedAt), UpdatedAt: ledger.Timestamp(s.UpdatedAt), LastAccessed: timestampOrNull(s.LastAccessed),
	}
	return entry{
		Key: secretKey(s.User, s.Name), Value: r,
		Metadata: secretMetadata{Version: s.Version, UpdatedAt: r.UpdatedAt, KeyID: s.KeyID, Sum: r.sum()},
	}
}

// sealedOf opens a KV record for what the ledger says is current. false: there is
// none, it is of another version or, after the database was put back to an earlier
// time, of another value of that version, or it is damaged.
func sealedOf(info leger.SecretInfo, value, metadata string) (leger.SealedSecret, bool) {
	var m secretMetadata
	var r secretRecord
	if json.Unmarshal([]byte(metadata), &m) != nil || m.Version != info.Version || m.UpdatedAt != ledger.Timestamp(info.UpdatedAt) ||
		json.Unmarshal([]byte(value), &r) != nil || r.Version != info.Version || r.SecretID != info.ID || r.Nonce != info.ValueID ||
		r.User != info.User || r.Name != info.Name || r.sum() != m.Sum {
		return leger.SealedSecret{}, false
	}
	ciphertext, err := base64.StdEncoding.DecodeString(r.EncryptedValue)
	if err != nil {
		return leger.SealedSecret{}, false
	}
	nonce, err := base64.StdEncoding.DecodeString(r.Nonce)
	if err != nil {
		return leger.SealedSecret{}, false
	}
	return leger.SealedSecret{
		SecretInfo: info, Ciphertext: ciphertext, Nonce: nonce, EncryptionVersion: r.EncryptionVersion, KeyID: m.KeyID,
	}, true
}

// userRecord is what KV holds under "user:{user_uuid}": the specification's
// UserRecord.
type userRecord struct {
	User            leger.UserID       `json:"user_uuid"`
	TailscaleUserID string             `json:"tailscale_user_id"`
	Email           string             `json:"tailscale_email"`
	Tailnet         string             `json:"tailnet"`
	DisplayName     *string            `json:"display_name"`
	CreatedAt       string             `json:"created_at"`
	LastSeen        string             `json:"last_seen"`
	LastDeviceID    string             `json:"last_device_id"`
	Metadata        userRecordMetadata `json:"metadata"`
}

type userRecordMetadata struct {
	CLIVersion           string `json:"cli_version"`
	TotalAuthentications int64  `json:"total_authentications"`
}

func userEntry(u *leger.User) entry {
	r := userRecord{
		User: u.ID, TailscaleUserID: u.TailscaleUserID.String(), Email: u.Email, Tailnet: u.Tailnet,
		CreatedAt: ledger.Timestamp(u.CreatedAt), LastSeen: ledger.Timestamp(u.LastSeen), LastDeviceID: u.LastDeviceID,
		Metadata: userRecordMetadata{CLIVersion: u.CLIVersion, TotalAuthentications: u.TotalAuthentications},
	}
	if u.DisplayName != "" {
		r.DisplayName = &u.DisplayName
	}
	return entry{Key: userKey(u.ID), Value: r}
}

func timestampOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := ledger.Timestamp(t)
	return &s
}
