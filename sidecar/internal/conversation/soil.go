package conversation

import "github.com/freshet/freshet/sidecar/internal/protocol"

// Soil notes that something may have changed the session's settings.
func (c *Conversation) Soil() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.soilLocked()
}

func (c *Conversation) soilLocked() {
	c.dirty, c.disturbed = true, true
	c.changes++
}

// BeginProbe is called before the session's settings are asked for: what soils them
// from now on, the answer may lack.
func (c *Conversation) BeginProbe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = false
	if c.status == protocol.StatusIdle {
		c.disturbed = false
	}
}

// FailProbe notes that the settings were not found out.
func (c *Conversation) FailProbe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
}

// Clean reports whether nothing became known that may have changed the session's
// settings since they were asked for. The follower says so before it publishes a head
// that includes a reload of the configuration, so who took a label from that head and
// finds the conversation clean has asked for the settings since.
func (c *Conversation) Clean() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.dirty
}

// ChangedSince reports whether something may have changed the settings since a number
// of changes.
func (c *Conversation) ChangedSince(changes uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes != changes
}
