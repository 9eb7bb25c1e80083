package config

import (
	"fmt"
	"os/user"
	"strconv"
)

// LocalUser returns the id of a user of this machine by name, as /etc/passwd has it.
func LocalUser(name string) (uint32, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("read id of user %s: %w", name, err)
	}
	return uint32(id), nil
}
