-- Every statement that src/postgres/migrate/ddl.rs can render, ugly names included.

-- creating schema Robert"); drop table x; --; lock: none
CREATE SCHEMA IF NOT EXISTS "Robert""); drop table x; --";

-- creating it; lock: none
CREATE TABLE "S ""1"""."Robert""); drop table x; --" ("Ünï" text UNIQUE, "at" timestamp with time zone NOT NULL, "Robert""); drop table x; --" boolean[], "n" numeric(20,0), "b" boolean, "select" bigint NOT NULL, CONSTRAINT "t_cqpk" PRIMARY KEY ("at", "select"));

-- creating it; lock: none
CREATE UNLOGGED TABLE "S ""1"""."Robert""); drop table x; --" ("at" timestamp with time zone NOT NULL, "select" bigint NOT NULL, "b" boolean, "Ünï" text COMPRESSION lz4 UNIQUE, "Robert""); drop table x; --" boolean[] COMPRESSION lz4, "n" numeric(20,0), CONSTRAINT "t_cqpk" PRIMARY KEY ("at", "select")) WITH (fillfactor = 70, toast_tuple_target = 4080) TABLESPACE "Fast ""disk""";

-- creating it; lock: none
CREATE TABLE "S ""1"""."Robert""); drop table x; --" ("Ünï" text UNIQUE, "at" timestamp with time zone NOT NULL, "Robert""); drop table x; --" boolean[], "n" numeric(20,0), "b" boolean, "select" bigint NOT NULL, CONSTRAINT "t_cqpk" PRIMARY KEY ("at", "select")) PARTITION BY RANGE ("at");

-- creating partition t_p20260102; lock: ACCESS EXCLUSIVE
CREATE TABLE "S ""1"""."t_p20260102" PARTITION OF "S ""1"""."Robert""); drop table x; --" FOR VALUES FROM ('2026-01-02 00:00:00+00') TO ('2026-01-03 00:00:00+00') WITH (fillfactor = 90);

-- creating partition t_default; lock: ACCESS EXCLUSIVE
CREATE TABLE "S ""1"""."t_default" PARTITION OF "S ""1"""."Robert""); drop table x; --" DEFAULT;

-- adding column Robert"); drop table x; --; lock: ACCESS EXCLUSIVE
ALTER TABLE "S ""1"""."Robert""); drop table x; --" ADD COLUMN "Robert""); drop table x; --" jsonb;

-- adding column n; lock: ACCESS EXCLUSIVE
ALTER TABLE "S ""1"""."Robert""); drop table x; --" ADD COLUMN "n" timestamp(3) NOT NULL;

-- dropping NOT NULL of column user; lock: ACCESS EXCLUSIVE
ALTER TABLE "S ""1"""."Robert""); drop table x; --" ALTER COLUMN "user" DROP NOT NULL;

-- locking it; lock: ACCESS EXCLUSIVE
LOCK TABLE "S ""1"""."Robert""); drop table x; --" IN ACCESS EXCLUSIVE MODE;

-- checking that column Robert"); drop table x; -- can become date; lock: none, reads the table
SELECT EXISTS (SELECT FROM "S ""1"""."Robert""); drop table x; --" WHERE "Robert""); drop table x; --"::text::date::text IS DISTINCT FROM "Robert""); drop table x; --"::text);

-- changing column Robert"); drop table x; -- to varchar(9); lock: ACCESS EXCLUSIVE
ALTER TABLE "S ""1"""."Robert""); drop table x; --" ALTER COLUMN "Robert""); drop table x; --" SET DATA TYPE varchar(9);

-- changing column Robert"); drop table x; -- to varchar(9); lock: ACCESS EXCLUSIVE, rewrites the table
ALTER TABLE "S ""1"""."Robert""); drop table x; --" ALTER COLUMN "Robert""); drop table x; --" SET DATA TYPE varchar(9) COLLATE "pg_catalog"."C" USING "Robert""); drop table x; --"::text::varchar(9);

-- adding label "it's \\ fine" to enum "s"."Mood"; lock: none
ALTER TYPE "s"."Mood" ADD VALUE IF NOT EXISTS E'it''s \\ fine';

-- adding its primary key; lock: ACCESS EXCLUSIVE, reads the table
ALTER TABLE "S ""1"""."Robert""); drop table x; --" ADD PRIMARY KEY ("a", "Robert""); drop table x; --");

-- adding its primary key; lock: ACCESS EXCLUSIVE, reads the table
ALTER TABLE "S ""1"""."Robert""); drop table x; --" ADD CONSTRAINT "t_pkey" PRIMARY KEY ("_cq_id");

-- making column a unique; lock: ACCESS EXCLUSIVE, reads the table
ALTER TABLE "S ""1"""."Robert""); drop table x; --" ADD UNIQUE ("a");

-- making index t_a_key a constraint; lock: ACCESS EXCLUSIVE
ALTER TABLE "S ""1"""."Robert""); drop table x; --" ADD CONSTRAINT "t_a_key" UNIQUE USING INDEX "t_a_key";

-- dropping constraint Robert"); drop table x; --; lock: ACCESS EXCLUSIVE
ALTER TABLE "S ""1"""."Robert""); drop table x; --" DROP CONSTRAINT "Robert""); drop table x; --";

-- commenting on it; lock: SHARE UPDATE EXCLUSIVE
COMMENT ON TABLE "S ""1"""."Robert""); drop table x; --" IS 'it''s a table';

-- commenting on column Robert"); drop table x; --; lock: SHARE UPDATE EXCLUSIVE
COMMENT ON COLUMN "S ""1"""."Robert""); drop table x; --"."Robert""); drop table x; --" IS E'a \\ b';

-- building index t_cqpi; lock: SHARE, reads the table
CREATE INDEX "t_cqpi" ON "S ""1"""."Robert""); drop table x; --" ("_cq_source_name", "_cq_sync_time");

-- building index t_cqpi; lock: SHARE UPDATE EXCLUSIVE, reads the table, on its own
CREATE UNIQUE INDEX CONCURRENTLY "t_cqpi" ON "S ""1"""."Robert""); drop table x; --" ("_cq_source_name", "_cq_sync_time");

-- dropping index t_cqpi; lock: SHARE UPDATE EXCLUSIVE, on its own
DROP INDEX CONCURRENTLY IF EXISTS "S ""1"""."t_cqpi";

-- dropping index Robert"); drop table x; --; lock: ACCESS EXCLUSIVE
DROP INDEX IF EXISTS "S ""1"""."Robert""); drop table x; --";

-- re-creating an index; lock: none, reads the table
CREATE INDEX i ON s.t USING btree (a);

-- renaming index t_pkey; lock: SHARE UPDATE EXCLUSIVE
ALTER INDEX "S ""1"""."t_pkey" RENAME TO "t_pkey_20260102T030405";

-- moving it aside as t_20260102T030405; lock: ACCESS EXCLUSIVE
ALTER TABLE "S ""1"""."Robert""); drop table x; --" RENAME TO "t_20260102T030405";

-- dropping it; lock: ACCESS EXCLUSIVE
DROP TABLE "S ""1"""."Robert""); drop table x; --";

-- dropping view s.V "x"; lock: ACCESS EXCLUSIVE
DROP VIEW "s"."V ""x""";

-- re-creating view s.V "x"; lock: none
CREATE VIEW "s"."V ""x""" WITH (security_barrier=true) AS SELECT t.a FROM s.t;

-- restoring the owner of s.Robert"); drop table x; --; lock: ACCESS EXCLUSIVE
ALTER TABLE "s"."Robert""); drop table x; --" OWNER TO "Own er";

-- restoring the privileges on s.Robert"); drop table x; --; lock: SHARE UPDATE EXCLUSIVE
GRANT SELECT ON TABLE "s"."Robert""); drop table x; --" TO PUBLIC;

-- restoring the privileges on s.Robert"); drop table x; --; lock: SHARE UPDATE EXCLUSIVE
GRANT SELECT ON TABLE "s"."Robert""); drop table x; --" TO "Robert""); drop table x; --" WITH GRANT OPTION;

-- commenting on view s.V "x"; lock: SHARE UPDATE EXCLUSIVE
COMMENT ON VIEW "s"."V ""x""" IS 'c';

-- creating index t_cqpi; lock: SHARE
CREATE INDEX "t_cqpi" ON ONLY "S ""1"""."Robert""); drop table x; --" ("_cq_source_name", "Robert""); drop table x; --");

-- building index p_cqpi of partition s.Robert"); drop table x; --; lock: SHARE UPDATE EXCLUSIVE, reads the table, on its own
CREATE INDEX CONCURRENTLY "p_cqpi" ON "s"."Robert""); drop table x; --" ("_cq_source_name", "Robert""); drop table x; --");

-- dropping index Robert"); drop table x; -- of partition s.Robert"); drop table x; --; lock: SHARE UPDATE EXCLUSIVE, on its own
DROP INDEX CONCURRENTLY IF EXISTS "s"."Robert""); drop table x; --";

-- making index p_cqpi a part of t_cqpi; lock: ACCESS EXCLUSIVE
ALTER INDEX "S ""1"""."t_cqpi" ATTACH PARTITION "s"."p_cqpi";

-- re-creating a trigger; lock: none
CREATE TRIGGER g BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION f();

-- setting when trigger Robert"); drop table x; -- fires; lock: none
ALTER TABLE "S ""1"""."Robert""); drop table x; --" ENABLE ALWAYS TRIGGER "Robert""); drop table x; --";

-- setting when trigger Robert"); drop table x; -- fires; lock: none
ALTER TABLE "S ""1"""."Robert""); drop table x; --" ENABLE REPLICA TRIGGER "Robert""); drop table x; --";

-- setting when trigger Robert"); drop table x; -- fires; lock: none
ALTER TABLE "S ""1"""."Robert""); drop table x; --" DISABLE TRIGGER "Robert""); drop table x; --";

-- restoring the privileges on column Robert"); drop table x; --; lock: none
GRANT UPDATE ("Robert""); drop table x; --") ON TABLE "S ""1"""."Robert""); drop table x; --" TO PUBLIC;

-- restoring the privileges on column Robert"); drop table x; --; lock: none
GRANT UPDATE ("Robert""); drop table x; --") ON TABLE "S ""1"""."Robert""); drop table x; --" TO "Robert""); drop table x; --" WITH GRANT OPTION;
