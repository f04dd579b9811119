package ledger

import (
	"context"
	"database/sql/driver"
	"time"

	"leger.run/leger"
)

// A device is named by its last report; one that never reported, by nothing.
const selectKeyless = `
SELECT users.tailscale_email, a.device_id, coalesce(h.name, ''), max(a.at)
FROM audit_log AS a JOIN users ON users.user_uuid = a.user_uuid
LEFT JOIN hosts AS h ON h.user_uuid = a.user_uuid AND h.device_id = a.device_id
WHERE a.credential = ?1 AND a.device_id <> '' AND a.at >= ?2
  AND NOT EXISTS (SELECT 1 FROM machines AS m WHERE m.user_uuid = a.user_uuid AND m.device_id = a.device_id)
GROUP BY a.user_uuid, a.device_id ORDER BY users.tailscale_email, h.name, a.device_id`

// KeylessMachines lists, by account and name, what came with the shared secret since then
// and is no machine with a key. It reads the whole audit log.
func (s *Store) KeylessMachines(ctx context.Context, since time.Time) (list []leger.KeylessMachine, err error) {
	args := []driver.Value{string(leger.CredentialToken), Timestamp(since)}
	err = s.read(ctx, selectKeyless, args, func(r *Row) {
		list = append(list, leger.KeylessMachine{Email: r.Text(), DeviceID: r.Text(), Name: r.Text(), LastSeen: r.Time()})
	})
	return list, err
}
