import { open } from 'node:fs/promises';
import { extname } from 'node:path';
import { z } from 'zod';
import { loadC2pa } from './load-c2pa.ts';
import { type Generation, generationLabel, generationSchema } from './manifest.ts';
import { statusText } from './status-text.ts';

/**
 * - valid: signed, and unchanged since
 * - unsigned: no manifest
 * - foreign: a valid manifest of another program
 * - unreadable: a valid manifest of FusionFrames whose statement this release cannot read
 * - invalid: changed since, or by a certificate that must not sign or is not trusted
 * - damaged: not a readable MP4 or WebP file
 */
export type ProvenanceState = 'valid' | 'unsigned' | 'foreign' | 'unreadable' | 'invalid' | 'damaged';

export interface Provenance {
  state: ProvenanceState;
  /** Why it is invalid or damaged. */
  faults: string[];
  /** Whether one of the given authorities issued the certificate; null if none were given. */
  isTrusted: boolean | null;
  /** What the file states; trust it only if the state is valid. */
  generator: string | null;
  /** As in the certificate. */
  signer: {
    name: string | null;
    organization: string | null;
    serialNumber: string | null;
    algorithm: string | null;
  } | null;
  createdAt: string | null;
  generation: Generation | null;
}

const storeSchema = z.object({
  active_manifest: z.string().optional(),
  manifests: z.record(
    z.string(),
    z.object({
      claim_generator_info: z.array(z.object({ name: z.string(), version: z.string().nullish() })).nullish(),
      claim_generator: z.string().nullish(),
      assertions: z.array(z.object({ label: z.string(), data: z.unknown() })).default([]),
      signature_info: z
        .object({
          alg: z.string().nullish(),
          issuer: z.string().nullish(),
          common_name: z.string().nullish(),
          cert_serial_number: z.string().nullish(),
        })
        .nullish(),
    }),
  ),
  validation_state: z.enum(['Invalid', 'Valid', 'Trusted']),
  validation_status: z.array(z.object({ code: z.string() })).default([]),
});

type Manifest = z.infer<typeof storeSchema>['manifests'][string];

/** A status that concerns only trust is not a fault if no authorities were given. */
const untrusted = 'signingCredential.untrusted';

const mediaTypes: Readonly<Record<string, string>> = { '.mp4': 'video/mp4', '.webp': 'image/webp' };

/**
 * Reads who made a video file and whether it changed since. Reads nothing from the network.
 *
 * @param trusted authorities, PEM; without them any certificate may have signed
 */
export async function readProvenance(path: string, trusted?: string): Promise<Provenance> {
  const { Reader } = await loadC2pa('`fusionframes verify`');
  const settings = {
    verify: { verify_trust: true, remote_manifest_fetch: false, ocsp_fetch: false },
    ...(trusted !== undefined && { trust: { trust_anchors: trusted } }),
  };
  const mimeType = mediaTypes[extname(path).toLowerCase()]!;
  let store: z.infer<typeof storeSchema>;
  try {
    const reader = await Reader.fromAsset({ path, mimeType }, settings);
    if (reader === null) {
      return { ...nothing, state: 'unsigned' };
    }
    store = storeSchema.parse(reader.json());
  } catch {
    return { ...nothing, state: 'damaged', faults: [await damageOf(path, mimeType)] };
  }
  const { validation_state, validation_status, active_manifest = '' } = store;
  const manifest = store.manifests[active_manifest];
  if (!manifest) {
    return { ...nothing, state: 'damaged', faults: ['it names no manifest'] };
  }
  const faults = validation_status
    .filter(({ code }) => trusted !== undefined || code !== untrusted)
    .map(({ code }) => statusText(code));
  const isValid = validation_state !== 'Invalid' && faults.length === 0;
  const facts = factsOf(manifest);
  const unknown = manifest.assertions.some(({ label }) => label === generationLabel) ? 'unreadable' : 'foreign';
  return {
    ...facts,
    state: isValid ? (facts.generation ? 'valid' : unknown) : 'invalid',
    faults,
    isTrusted: trusted === undefined ? null : validation_state === 'Trusted',
  };
}

/** Why the library could not read a file. Throws the system's error. */
async function damageOf(path: string, mimeType: string): Promise<string> {
  const file = await open(path);
  try {
    const { buffer } = await file.read({ buffer: Buffer.alloc(12), position: 0 });
    const start = buffer.toString('latin1');
    const isMp4 = mimeType === 'video/mp4';
    const fits = isMp4 ? start.slice(4, 8) === 'ftyp' : start.startsWith('RIFF') && start.endsWith('WEBP');
    return fits
      ? 'the content or the manifest is truncated or malformed'
      : `it does not begin as ${isMp4 ? 'an MP4' : 'a WebP'} file`;
  } finally {
    await file.close();
  }
}

const nothing = {
  faults: [],
  isTrusted: null,
  generator: null,
  signer: null,
  createdAt: null,
  generation: null,
};

function factsOf({ claim_generator_info, claim_generator, signature_info, assertions }: Manifest) {
  const [info] = claim_generator_info ?? [];
  const stated = assertions.find(({ label }) => label === generationLabel);
  return {
    generator: info ? [info.name, info.version].filter(Boolean).join(' ') : (claim_generator ?? null),
    signer: signature_info
      ? {
          name: signature_info.common_name ?? null,
          organization: signature_info.issuer ?? null,
          serialNumber: signature_info.cert_serial_number ?? null,
          algorithm: signature_info.alg ?? null,
        }
      : null,
    createdAt: createdAtOf(assertions),
    generation: generationSchema.safeParse(stated?.data).data ?? null,
  };
}

function createdAtOf(assertions: Manifest['assertions']): string | null {
  const actions = assertions.find(({ label }) => label.startsWith('c2pa.actions'));
  const parsed = actionsSchema.safeParse(actions?.data);
  return parsed.data?.actions.find(({ action }) => action === 'c2pa.created')?.when ?? null;
}

const actionsSchema = z.object({ actions: z.array(z.object({ action: z.string(), when: z.string().nullish() })) });
