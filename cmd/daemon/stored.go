package daemon

import (
	"errors"
	"fmt"
	"slices"
)

// storeListeners has the service manager keep the listeners over a restart, so that clients wait instead of failing. It
// must drop those that meshd has given up: whoever connected to such a duplicate would wait for ever.
func (d *daemon) storeListeners() {
	sockets := map[string][]string{}
	for _, s := range d.sockets.Sockets() {
		sockets[s.Name] = append(sockets[s.Name], s.Network+" "+s.Address)
	}
	files, err := d.sockets.Files()
	errs := []error{err}
	for name, before := range d.stored {
		if !slices.Equal(sockets[name], before) {
			errs = append(errs, d.notifier.RemoveFDs(name))
			delete(d.stored, name)
		}
	}
	for name, of := range files {
		if _, kept := d.stored[name]; !kept {
			errs = append(errs, d.notifier.StoreFDs(name, of...))
			d.stored[name] = sockets[name]
		}
		for _, f := range of {
			f.Close()
		}
	}
	if err := errors.Join(errs...); err != nil {
		d.tell("listeners", fmt.Errorf("store listeners: %w", err))
	}
}
