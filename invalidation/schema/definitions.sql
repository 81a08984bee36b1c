-- All that answers and their analysis depend on, in one number for each catalog: a
-- row's place and version (ctid, xmin) name what it holds, and nobody else's, for as
-- long as it is there; only what VACUUM notes beside is changed in place. So where
-- numbers are equal, definitions are. What belongs to temporary relations is left
-- out: they are made all the time, and what is asked of them is not cached. Roles,
-- memberships and settings are audited apart.
(WITH RECURSIVE temporary AS (
	SELECT c.oid, c.reltype, c.relnamespace FROM pg_class c WHERE c.relpersistence = 't'
)
SELECT concat_ws('/', {{catalogs}}))
