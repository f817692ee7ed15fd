import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

/** A way to a database that can be shut, for tests in which it is away for as long as they like. */
export interface DatabaseGate {
  /** Of the database behind it. */
  url: string;
  /** Ends every connection, and takes no other. */
  shut(): Promise<void>;
  open(): Promise<void>;
}

/** Opens a gate in front of a server that listens on a socket, in a folder of the gate's own. */
export async function openGate(url: string, folder: string): Promise<DatabaseGate> {
  const behind = new URL(url);
  const name = `.s.PGSQL.${behind.searchParams.get('port')}`;
  const target = join(behind.searchParams.get('host')!, name);
  behind.searchParams.set('host', folder);
  const sockets = new Set<Socket>();
  let server: Server;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  };
  const gate = {
    url: behind.href,
    async shut() {
      server.close();
      for (const socket of sockets) {
        socket.destroy();
      }
      await once(server, 'close');
    },
    async open() {
      server = createServer((socket) => {
        const further = connect(target);
        keep(socket);
        keep(further);
        socket.pipe(further).pipe(socket);
        further.on('close', () => socket.destroy());
        socket.on('close', () => further.destroy());
      });
      server.listen(join(folder, name));
      await once(server, 'listening');
    },
  };
  await gate.open();
  return gate;
}
