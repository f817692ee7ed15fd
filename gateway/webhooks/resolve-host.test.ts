import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { receiverLookup } from './guarded-lookup.ts';
import { type NameSources, resolveHost } from './resolve-host.ts';

const code = { found: 0, noSuchName: 3, refused: 5 };

test('the addresses that a name server gives', () =>
  withNameServer({ code: code.found, addresses: ['192.0.2.7', '198.51.100.1'] }, async (sources, looked) => {
    expect(await resolveHost('receiver.example', sources)).toEqual([
      { address: '192.0.2.7', family: 4 },
      { address: '198.51.100.1', family: 4 },
    ]);
    expect(looked).toEqual([]);
  }));

test('a name unknown to the name server is looked up by the system', () =>
  withNameServer({ code: code.noSuchName }, async (sources, looked) => {
    expect(await resolveHost('printer.example', sources)).toEqual([{ address: '192.0.2.9', family: 4 }]);
    expect(looked).toEqual(['printer.example']);
  }));

test('a name whose server refuses to answer is not looked up by the system', () =>
  withNameServer({ code: code.refused }, async (sources, looked) => {
    await expect(resolveHost('receiver.example', sources)).rejects.toMatchObject({ code: 'EREFUSED' });
    expect(looked).toEqual([]);
  }));

test.each([
  [['192.0.2.7', '127.0.0.1'], { reason: 'LOCAL_WEBHOOK' }],
  [['169.254.169.254'], { reason: 'LOCAL_WEBHOOK' }],
  [['192.0.2.7'], null],
])('a guarded lookup of a name with the addresses %j', (addresses, failure) =>
  withNameServer({ code: code.found, addresses }, async (sources) => {
    const error = await new Promise((resolve) =>
      receiverLookup(true, sources)('receiver.example', { all: true }, (error) => resolve(error)),
    );
    if (failure === null) {
      expect(error).toBeNull();
    } else {
      expect(error).toMatchObject(failure);
    }
  }),
);

interface Answer {
  code: number;
  addresses?: readonly string[];
}

/** Runs against a real name server that answers every query alike; records the names that the system resolved. */
async function withNameServer(
  { code, addresses = [] }: Answer,
  run: (sources: NameSources, looked: string[]) => Promise<void>,
): Promise<void> {
  const server = createSocket('udp4');
  server.on('message', (query, { port, address }) => {
    server.send(toResponse(query, code, addresses), port, address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  const resolver = new Resolver({ tries: 1 });
  resolver.setServers([`127.0.0.1:${(server.address() as AddressInfo).port}`]);
  const looked: string[] = [];
  const lookup = async (host: string) => {
    looked.push(host);
    return [{ address: '192.0.2.9', family: 4 }];
  };
  try {
    await run({ resolver, lookup }, looked);
  } finally {
    resolver.cancel();
    server.close();
  }
}

/** A DNS response (RFC 1035) with the question of the query and, if it asks for IPv4, the addresses. */
function toResponse(query: Buffer, code: number, addresses: readonly string[]): Buffer {
  const headerBytes = 12;
  const question = query.subarray(headerBytes, query.indexOf(0, headerBytes) + 5);
  const isIPv4 = question.readUInt16BE(question.length - 4) === 1;
  const answers = isIPv4 ? addresses.map(toRecord) : [];
  const header = Buffer.from(query.subarray(0, headerBytes));
  // A response, with recursion.
  header.writeUInt16BE(0x8180 | code, 2);
  header.writeUInt16BE(answers.length, 6);
  header.writeUInt16BE(0, 10);
  return Buffer.concat([header, question, ...answers]);
}

/** An A record for the name of the question, valid for 0 s. */
function toRecord(address: string): Buffer {
  return Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]);
}
