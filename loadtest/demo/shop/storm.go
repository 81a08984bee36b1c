package shop

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Storm has more programs write through the doors, as fast as they can, for a while. It may
// be called while the workload runs.
func (w *Workload) Storm(ctx context.Context, writers int, length time.Duration) error {
	programs := make([]*client, writers)
	for i := range programs {
		var err error
		if programs[i], err = w.connect(ctx, w.options.Doors[i%len(w.options.Doors)], roleApp, pgxPrepared); err != nil {
			return fmt.Errorf("open a connection for the storm: %w", err)
		}
	}
	raging, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var group sync.WaitGroup
	for _, c := range programs {
		group.Go(func() {
			for raging.Err() == nil {
				if err := c.writeAndLook(context.WithoutCancel(ctx)); err != nil {
					c.failed(raging, err)
				}
			}
		})
	}
	group.Wait()
	return nil
}
