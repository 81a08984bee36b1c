package invalidation

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet/freshet/cache/fence"
)

// A change of a role, or of what it is a member of, ends the answers that were read as this
// role, or as one that is its member, and those that may depend on other roles than the
// reader's (fence.RolesText). All others stay: what a role may read depends on no other.
//
// Nobody reports such a change. Followers compare, and write what they find as an event.
// Each knows what it compared last; what it finds is the difference to that, and no more:
//
//  1. a follower A compares, and records it;
//  2. a membership is given, a follower B finds it, records it, and reports the member;
//  3. it is taken away again, and nobody compares yet; B ends;
//  4. another role is changed. A finds that role alone, since all else is what it was at 1.
//     What the member has read between 2 and 3 would never be ended.
//
// So what is recorded says what the last report was about: a follower whose own last
// comparison is another reports all. (TestRolesReportedByTwoFollowers)
//
// A role that was made and dropped between two comparisons was in neither. Sessions that are
// still open as this role could be answered what it read by rights that went with it. So what
// a role reads is kept only once a comparison has found it. (TestRoleOfAMoment)
//
// What was read before the event, and by what was known of the statement before it, is not
// served after it: the event is received by the look that follows the comparison, and what is
// known of statements is dropped before its head is published, as with a change of the
// schema.

// rolesPerEventMax bounds the roles that one event names: beyond it everything is ended.
const rolesPerEventMax = 256

// silent is what no event reports. Each part is a text as Postgres gave it.
type silent struct {
	rest string // see restSQL
	// roles has "oid sum", members and givers begin with "member role giver version", versions
	// has "oid version": lists with commas between. versions is empty where rolesVersionedSQL
	// says so.
	roles, members, givers, versions string
	// counts are those of roleCountsSQL.
	counts string
	// sum names all of it, for comparing and recording.
	sum string
}

const silentSQL = "SELECT " + restSQL + ", " + rolesSQL + ", coalesce(" + membersSQL + ", ''), coalesce(" + giversSQL + ", ''), coalesce(" + roleCountsSQL + ", '')"

func readSilent(ctx context.Context, conn *pgx.Conn) (s silent, err error) {
	if s.versions, err = readRoleVersions(ctx, conn); err != nil {
		return s, err
	}
	if err := conn.QueryRow(ctx, silentSQL).Scan(&s.rest, &s.roles, &s.members, &s.givers, &s.counts); err != nil {
		return s, err
	}
	sum := md5.Sum([]byte(strings.Join([]string{s.rest, s.roles, s.members, s.givers, s.versions, s.counts}, "/")))
	s.sum = hex.EncodeToString(sum[:])
	return s, nil
}

// KnowsRole reports whether what a role reads may be kept: its OID was found when roles were
// compared, or is 0, which carries the tag of all. Of one that is not known the next look asks.
func (f *Follower) KnowsRole(oid uint32) bool {
	if oid == 0 {
		return true
	}
	if a := f.audited.Load(); a != nil && a.roles[oid] {
		return true
	}
	f.Suspect()
	return false
}

// oids are those of the roles.
func (s *silent) oids() map[uint32]bool {
	oids := map[uint32]bool{}
	for text := range keysOf(s.roles) {
		if oid, err := strconv.ParseUint(text, 10, 32); err == nil {
			oids[uint32(oid)] = true
		}
	}
	return oids
}

// endedBy are the texts of the tags that a change from before to s moves: none if no answer
// can depend on it.
func (s *silent) endedBy(before *silent) []string {
	if s.rest != before.rest || (s.versions == "") != (before.versions == "") {
		return []string{fence.SchemaText}
	}
	changed := map[string]bool{}
	differing(before.roles, s.roles, changed)
	differing(before.members, s.members, changed)
	differing(before.versions, s.versions, changed)
	versioned(before.givers, s.givers, changed)
	spread(changed, before.members, s.members)
	if len(changed) > rolesPerEventMax {
		return []string{fence.SchemaText}
	}
	// Who is new owns nothing, and stands in no policy, of what others read before.
	known, others := keysOf(before.roles), s.counts != before.counts
	var texts []string
	for _, oid := range slices.Sorted(maps.Keys(changed)) {
		role, err := strconv.ParseUint(oid, 10, 32)
		if err != nil {
			return []string{fence.SchemaText}
		}
		texts = append(texts, fence.RoleText(uint32(role)))
		others = others || known[oid]
	}
	if others {
		texts = append(texts, fence.RolesText)
	}
	return texts
}

// differing adds the first words of those elements of two lists that the other lacks.
func differing(before, after string, to map[string]bool) {
	if before == after {
		return
	}
	had := map[string]bool{}
	for element := range strings.SplitSeq(before, ",") {
		had[element] = true
	}
	for element := range strings.SplitSeq(after, ",") {
		if !had[element] {
			addFirst(element, to)
		}
		delete(had, element)
	}
	for element := range had {
		addFirst(element, to)
	}
}

// versioned adds the members of memberships that both lists have, in other versions.
func versioned(before, after string, to map[string]bool) {
	had := map[string]string{}
	for element := range strings.SplitSeq(before, ",") {
		if i := strings.LastIndexByte(element, ' '); i >= 0 {
			had[element[:i]] = element[i:]
		}
	}
	for element := range strings.SplitSeq(after, ",") {
		if i := strings.LastIndexByte(element, ' '); i >= 0 && had[element[:i]] != "" && had[element[:i]] != element[i:] {
			addFirst(element, to)
		}
	}
}

// keysOf returns the first words of the elements of a list.
func keysOf(list string) map[string]bool {
	keys := map[string]bool{}
	for element := range strings.SplitSeq(list, ",") {
		addFirst(element, keys)
	}
	return keys
}

func addFirst(element string, to map[string]bool) {
	if first, _, ok := strings.Cut(element, " "); ok {
		to[first] = true
	}
}

// spread adds to changed roles those that are their members, through whatever others.
func spread(changed map[string]bool, memberships ...string) {
	if len(changed) == 0 {
		return
	}
	members := map[string][]string{} // by role
	for _, list := range memberships {
		for element := range strings.SplitSeq(list, ",") {
			if member, rest, ok := strings.Cut(element, " "); ok {
				role, _, _ := strings.Cut(rest, " ")
				members[role] = append(members[role], member)
			}
		}
	}
	pending := slices.Collect(maps.Keys(changed))
	for len(pending) > 0 {
		role := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		for _, member := range members[role] {
			if !changed[member] {
				changed[member] = true
				pending = append(pending, member)
			}
		}
	}
}

// Roles see different parts of what no event reports, so each has a record of its own.
const (
	recordedSQL = `SELECT f.value FROM freshet.fingerprint f JOIN pg_roles r ON r.oid = f.reader WHERE r.rolname = current_user FOR UPDATE OF f`
	recordSQL   = `INSERT INTO freshet.fingerprint AS f (reader, value) SELECT r.oid, $1 FROM pg_roles r WHERE r.rolname = current_user
		ON CONFLICT (reader) DO UPDATE SET value = excluded.value`
	reportSQL = `INSERT INTO freshet.outbox (tags) VALUES ($1)`
)

// record reports a change, unless another follower has: moved are the tags of what changed
// since before, the sum that this follower found last.
func (s *silent) record(ctx context.Context, conn *pgx.Conn, before string, moved []string) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var recorded string
		err := tx.QueryRow(ctx, recordedSQL).Scan(&recorded)
		switch {
		case err == nil && recorded == s.sum:
			return nil
		case err != nil && !errors.Is(err, pgx.ErrNoRows):
			return err
		case err != nil || recorded != before:
			moved = []string{fence.SchemaText}
		}
		if _, err := tx.Exec(ctx, recordSQL, s.sum); err != nil || len(moved) == 0 {
			return err
		}
		_, err = tx.Exec(ctx, reportSQL, moved)
		return err
	})
	if err != nil {
		return fmt.Errorf("record what roles and settings are: %w", explainMissing(err, conn.Config().User))
	}
	return nil
}
