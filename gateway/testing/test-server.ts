import { createLogger } from '../../services/kit/log.ts';
import { openScope } from '../../services/kit/scope.ts';
import { openDataFolder } from '../data-folder.ts';
import { type Client, openClient } from '../database/open-client.ts';
import { openDatabase } from '../database/open-database.ts';

/** A PostgreSQL server for tests. */
export interface TestServer {
  url: string;
  close(): Promise<void>;
}

/** Template database on a {@link TestServer} with the current schema and its first rows; tests work on copies. */
export const templateName = 'fusionframes_template';

/** Function of the template that brings back its rows, unless the schema has changed: then it returns false. */
export const emptyFunction = 'testing.empty';

/** A client whose timeout allows for creating a database on a busy machine. */
export function openPatientClient(url: string): Client {
  return openClient(new URL(url), { connections: 2, log: createLogger('test', 'silent'), seconds: 600 });
}

/** Starts a server on a temporary folder; it ends with this process, even if that is killed. */
export function startTestServer(signal?: AbortSignal): Promise<TestServer> {
  return openScope(signal, async (scope) => {
    const log = createLogger('test', 'silent');
    const dataFolder = await scope.open(() => openDataFolder(''));
    const { url } = await scope.open((aborted) =>
      openDatabase({ url: '', dataFolder, log, signal: aborted, connections: 1 }),
    );
    const { sql, close } = openPatientClient(url);
    await sql.unsafe(`create database ${templateName}`);
    await close();
    const template = new URL(url);
    template.pathname = `/${templateName}`;
    const prepared = await openDatabase({ url: template.href, dataFolder, log, connections: 1 });
    await prepared.sql.unsafe(emptying);
    await prepared.close();
    return { url, close: () => scope.close() };
  });
}

/** Defines {@link emptyFunction}; the first rows are kept in tables of the schema `testing`. */
const emptying = `
  create schema testing;
  create view testing.tables as
    select oid, relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r';
  create view testing.shape as
    select md5(string_agg(concat_ws(' ', relname, attname, atttypid, tgname), ',' order by relname, attname, tgname)) as sum
    from pg_class
    left join pg_attribute on attrelid = pg_class.oid
    left join pg_trigger on tgrelid = pg_class.oid
    where relnamespace = 'public'::regnamespace;
  do $$
    declare each record;
    begin
      for each in select name from testing.tables loop
        execute format('create table testing.%I as table public.%I', each.name, each.name);
      end loop;
    end
  $$;
  create table testing.first_shape as table testing.shape;
  create function ${emptyFunction}() returns boolean language plpgsql as $$
    declare each record;
    begin
      set local session_replication_role = replica; -- no triggers, in any order
      for each in select name from testing.tables loop
        execute format('delete from public.%I', each.name);
        execute format('insert into public.%I overriding system value table testing.%I', each.name, each.name);
      end loop;
      perform setval(oid::regclass, 1, false)
        from pg_class where relnamespace = 'public'::regnamespace and relkind = 'S';
      return (table testing.shape) = (table testing.first_shape);
    end
  $$;`;
