package fence

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Tag stands for something that a query's answer depends on: a table, the rows
// of a table that have a value, the schema. It is a hash of a text that the
// writer's trigger and the reader's analysis spell alike. Two texts that share
// a Tag cost a needless miss, never a stale hit.
//
// Its first classBits are the Class of the text, so that a tag tells its class: the
// tags of all values of a column of a table have the same.
type Tag uint64

// Class stands for all tags of the values of one column. Two columns that share a
// Class cost a needless look.
type Class uint16

// classBits is how many of the bits of a Tag are its Class.
const classBits = 14

// NewTag returns the tag of a text.
func NewTag(text string) Tag { return tagOf([]byte(text)) }

// appendTagMax is how long a text may be that is hashed without an allocation: the longest
// name of a column, and the longest value, fit.
const appendTagMax = 160

// TableTag is NewTag of TableText, without an allocation, as those below.
func TableTag(root uint32) Tag {
	var text [appendTagMax]byte
	return tagOf(strconv.AppendUint(text[:0], uint64(root), 10))
}

// WholesaleTag is NewTag of WholesaleText.
func WholesaleTag(root uint32) Tag {
	var text [appendTagMax]byte
	return tagOf(append(strconv.AppendUint(text[:0], uint64(root), 10), "/*"...))
}

// ValueTag is NewTag of ValueText.
func ValueTag[V string | []byte](root uint32, column string, value V) Tag {
	var text [appendTagMax]byte
	t := append(strconv.AppendUint(text[:0], uint64(root), 10), '/')
	t = append(append(t, column...), '=')
	if len(value) > valueLengthMax {
		return tagOf(append(t, shortened(string(value))...))
	}
	return tagOf(append(t, value...))
}

// RelationSchemaTag is NewTag of RelationSchemaText.
func RelationSchemaTag(root uint32) Tag {
	var text [appendTagMax]byte
	return tagOf(strconv.AppendUint(append(text[:0], SchemaText+"/"...), uint64(root), 10))
}

// RoleTag is NewTag of RoleText.
func RoleTag(role uint32) Tag {
	var text [appendTagMax]byte
	return tagOf(strconv.AppendUint(append(text[:0], rolePrefix...), uint64(role), 10))
}

// RolesTag is NewTag of RolesText.
var RolesTag = NewTag(RolesText)

// roleClass is that of all tags of single roles.
var roleClass = NewTag(rolePrefix).Class()

// OfRoles reports whether a tag is RolesTag or one of a single role. A tag of something else
// may be taken for one.
func (t Tag) OfRoles() bool { return t == RolesTag || t.Class() == roleClass }

// OwnTag is NewTag of OwnText.
func OwnTag[N string | []byte](name N) Tag {
	var text [appendTagMax]byte
	t := append(text[:0], OwnPrefix...)
	if len(name) > valueLengthMax {
		return tagOf(append(t, shortened(string(name))...))
	}
	return tagOf(append(t, name...))
}

// OwnWholesaleTag is NewTag of OwnWholesaleText.
var OwnWholesaleTag = NewTag(OwnWholesaleText)

// tagOf is NewTag of a text as bytes. Its class is that of the text up to its first equals
// sign, behind which a value stands: a column whose name holds one shares its class with
// others.
func tagOf(text []byte) Tag {
	column := text
	if i := bytes.IndexByte(text, '='); i >= 0 {
		column = text[:i]
	}
	class := Class(xxhash.Sum64(column) >> (64 - classBits))
	return Tag(uint64(class)<<(64-classBits) | xxhash.Sum64(text)>>classBits)
}

// NewClass returns the class of the tags that ValueText spells for a column.
func NewClass(root uint32, column string) Class { return ValueTag(root, column, "").Class() }

// Class is the one that the tag belongs to.
func (t Tag) Class() Class { return Class(t >> (64 - classBits)) }

// Event is one committed change: the writer's top-level transaction and the
// tags that it moved.
type Event struct {
	XID  XID
	Tags []Tag
}

// SchemaText is the text of the tag that every entry carries and that every
// change of names, rights or definitions moves.
const SchemaText = "schema"

// valueLengthMax is the longest value, in bytes, that is spelled in a tag.
const valueLengthMax = 64

// TableText spells the tag that any change of a table moves. root is the OID of
// the table, or of the root of its partition or inheritance tree.
func TableText(root uint32) string { return strconv.FormatUint(uint64(root), 10) }

// WholesaleText spells the tag that only changes without a list of values move:
// TRUNCATE, a statement that changed too many rows. Every reader that carries
// a ValueText of the table carries it too.
func WholesaleText(root uint32) string { return TableText(root) + "/*" }

// ValueText spells the tag that a row moves if it had or gets value in column.
// value is Postgres' canonical text; a long one is replaced by its MD5.
func ValueText(root uint32, column, value string) string {
	return TableText(root) + "/" + column + "=" + shortened(value)
}

// shortened replaces what is long by its MD5.
func shortened(value string) string {
	if len(value) <= valueLengthMax {
		return value
	}
	sum := md5.Sum([]byte(value))
	return "md5:" + hex.EncodeToString(sum[:])
}

// OwnPrefix begins the tags of the application's own, which freshet.touch moves.
const OwnPrefix = "own/"

// OwnReserved begins the names that are Freshet's own and mark events; freshet.touch refuses
// them, and no answer depends on one.
const OwnReserved = "freshet/"

// OwnWholesaleText spells the tag that a call of freshet.touch with too many names
// moves. Every reader that carries an OwnText carries it too.
const OwnWholesaleText = OwnPrefix + "*"

// OwnText spells the tag of the application's own that has a name.
func OwnText(name string) string { return OwnPrefix + shortened(name) }

// RolesText is the text of the tag that every change of a role moves which may change what
// somebody reads. Entries carry it whose answer may depend on other roles than the reader's:
// on the owner of a view, on those that policies name.
const RolesText = "roles"

// rolePrefix begins the text of the tag of a single role.
const rolePrefix = "role="

// RoleText spells the tag that a change of a role moves, or of what it is a member of. Every
// other entry carries that of the role that read it.
func RoleText(role uint32) string { return rolePrefix + strconv.FormatUint(uint64(role), 10) }

// IsRoleText recognizes RolesText and RoleText.
func IsRoleText(text string) bool {
	return text == RolesText || strings.HasPrefix(text, rolePrefix)
}

// RelationSchemaText spells the tag that a change of one table's definition
// moves if it cannot touch what other names mean.
func RelationSchemaText(root uint32) string { return SchemaText + "/" + TableText(root) }
