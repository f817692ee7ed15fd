import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { createLogger } from '../../services/kit/log.ts';
import { Scope } from '../../services/kit/scope.ts';
import { readSettings } from '../../services/kit/settings.ts';
import { type CertifiedKey, createAuthority } from '../../services/kit/testing/certificates.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { callCli, eventually } from '../../test/support/cli.ts';
import { stopTestServer } from '../testing/data.ts';
import { decodeMp4 } from '../testing/decode-mp4.ts';
import { withHttp } from '../testing/http.ts';
import { plainPicture } from '../testing/pictured.ts';
import { loadC2pa } from './load-c2pa.ts';
import { generationLabel } from './manifest.ts';
import { openProvenance } from './open-provenance.ts';
import { type ProvenanceOptions, provenanceSettings } from './provenance-settings.ts';
import { readProvenance } from './read-provenance.ts';
import { readSigningIdentity } from './signing-identity.ts';
import { VideoSigner } from './video-signer.ts';

const authority = createAuthority();
const signer = authority.issueSigner('video signer', 'Example Studio');
const log = createLogger('test', 'silent');
const unset = readSettings(provenanceSettings, {});
const scope = new Scope();
let folder: string;

beforeAll(async () => {
  folder = temporaryFolder(scope);
  await writeFile(join(folder, 'ca.pem'), authority.certificate);
});

afterAll(async () => {
  await scope.close();
  await stopTestServer();
});

async function options(
  { certificate, key }: CertifiedKey,
  environment: Record<string, string> = {},
): Promise<ProvenanceOptions> {
  const files = { certificate: join(folder, 'certificate.pem'), key: join(folder, 'key.pem') };
  await writeFile(files.certificate, certificate);
  await writeFile(files.key, key);
  return readSettings(provenanceSettings, {
    FUSIONFRAMES_PROVENANCE_CERTIFICATE: files.certificate,
    FUSIONFRAMES_PROVENANCE_KEY: files.key,
    ...environment,
  });
}

/** A video of 15 frames made by stage doubles, as a file. */
async function makeVideo(name: string, fields: object, settings: Partial<ProvenanceOptions>): Promise<string> {
  const path = join(folder, name);
  const provenance = await openProvenance({ ...unset, ...settings }, log);
  await withHttp(
    async (http) => {
      const { id } = await http.make({ seed: 7, format: name.split('.')[1], ...fields });
      expect(await http.ended(id)).toMatchObject({ status: 'completed' });
      const { bytes } = await http.send(`/v1/videos/${id}/content`);
      await writeFile(path, bytes);
    },
    { provenance },
  );
  return path;
}

describe('a signed video', () => {
  let signed: string;
  let plain: string;

  beforeAll(async () => {
    plain = await makeVideo('plain.mp4', {}, {});
    signed = await makeVideo('signed.mp4', { prompt: 'a secret' }, await options(signer));
  });

  test('says how it was made and by whose certificate, without the prompt', async () => {
    const provenance = await readProvenance(signed, authority.certificate);
    expect(provenance).toMatchObject({
      state: 'valid',
      faults: [],
      isTrusted: true,
      generator: expect.stringMatching(/^FusionFrames \d/),
      signer: { name: 'video signer', organization: 'Example Studio', algorithm: 'Ps256' },
      createdAt: expect.stringMatching(/^\d{4}-/),
      generation: {
        version: 1,
        video: expect.stringMatching(/^video_/),
        model: 'nano',
        settings: { seed: '7', width: 128, frameRate: 'low', keyframes: { steps: 3 } },
      },
    });
    expect(JSON.stringify(provenance)).not.toContain('secret');
    expect(String(await readFile(signed, 'latin1'))).not.toContain('a secret');
    expect(await readProvenance(signed)).toMatchObject({ state: 'valid', isTrusted: null });
  });

  test('has the frames of the unsigned one, and little more bytes', async () => {
    const [one, other] = await Promise.all([decodeMp4(plain), decodeMp4(signed)]);
    expect(one.frames.map((frame) => Buffer.from(frame).equals(other.frames[one.frames.indexOf(frame)]!))).toEqual(
      one.frames.map(() => true),
    );
    expect((await readFile(signed)).length - (await readFile(plain)).length).toBeLessThan(10_000);
  });

  test('is invalid once it was changed, by an unknown authority, or with a forged manifest', async () => {
    const bytes = await readFile(signed);
    const changed = async (name: string, at: number) => {
      const copy = Buffer.from(bytes);
      copy[at]! ^= 1;
      await writeFile(join(folder, name), copy);
      return readProvenance(join(folder, name));
    };
    expect(await changed('changed.mp4', bytes.length - 100)).toMatchObject({
      state: 'invalid',
      faults: ['the video was changed after signing'],
    });
    expect(await changed('forged.mp4', bytes.indexOf('"nano"') + 1)).toMatchObject({
      state: 'invalid',
      faults: ['the manifest was changed after signing'],
    });
    expect(await readProvenance(signed, createAuthority('other').certificate)).toMatchObject({
      state: 'invalid',
      faults: ['none of the trusted authorities issued its certificate'],
      isTrusted: false,
    });
  });

  test('is distinguished from unsigned, foreign and damaged files', async () => {
    expect(await readProvenance(plain)).toMatchObject({ state: 'unsigned', signer: null });
    await writeFile(join(folder, 'empty.mp4'), '');
    await writeFile(join(folder, 'text.webp'), 'hello');
    for (const name of ['empty.mp4', 'text.webp']) {
      expect(await readProvenance(join(folder, name))).toMatchObject({
        state: 'damaged',
        faults: [expect.stringMatching(/^it does not begin as an? (MP4|WebP) file$/)],
      });
    }
    const { Builder, LocalSigner } = await loadC2pa('the test');
    const { createPrivateKey } = await import('node:crypto');
    const key = createPrivateKey(signer.key).export({ type: 'pkcs8', format: 'pem' }) as string;
    const foreign = Builder.withJson({ claim_generator_info: [{ name: 'Other', version: '1' }] } as never);
    foreign.addAction(JSON.stringify({ action: 'c2pa.created' }));
    foreign.sign(
      LocalSigner.newSigner(Buffer.from(signer.certificate), Buffer.from(key), 'ps256'),
      { path: plain, mimeType: 'video/mp4' },
      { path: join(folder, 'foreign.mp4'), mimeType: 'video/mp4' },
    );
    expect(await readProvenance(join(folder, 'foreign.mp4'))).toMatchObject({
      state: 'foreign',
      generator: 'Other 1',
      generation: null,
    });
    const state = (name: string, statement: object) => {
      const stating = Builder.withJson({ claim_generator_info: [{ name: 'FusionFrames', version: '9' }] } as never);
      stating.addAction(JSON.stringify({ action: 'c2pa.created' }));
      stating.addAssertion(generationLabel, JSON.stringify(statement), 'Json');
      stating.sign(
        LocalSigner.newSigner(Buffer.from(signer.certificate), Buffer.from(key), 'ps256'),
        { path: plain, mimeType: 'video/mp4' },
        { path: join(folder, name), mimeType: 'video/mp4' },
      );
    };
    state('newer.mp4', { version: 2 });
    const { generation } = await readProvenance(signed);
    state('path.mp4', { ...generation, model: '/etc/evil.json' });
    state('setting.mp4', { ...generation, settings: { ...generation!.settings, seed: 'x' } });
    state('between.mp4', { ...generation, picture: 'p', settings: { ...generation!.settings, givenKeyframes: 3 } });
    state('inked.mp4', { ...generation, settings: { ...generation!.settings, loras: [{ name: 'ink', scale: 0.5 }] } });
    state('no-lora.mp4', { ...generation, settings: { ...generation!.settings, loras: [null] } });
    for (const name of ['newer.mp4', 'no-lora.mp4']) {
      expect(await readProvenance(join(folder, name))).toMatchObject({ state: 'unreadable', generation: null });
    }
  });

  test('is verified by the program, whose exit code says what it found', async () => {
    await mkdir(join(folder, 'walk'));
    await Promise.all(
      ['1.png', '2.png'].map(async (name) => writeFile(join(folder, 'walk', name), await plainPicture('#f00'))),
    );
    const trust = ['--trust', join(folder, 'ca.pem')];
    expect(await callCli(['verify', signed, ...trust])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/: valid .*\n.*made with +FusionFrames[\s\S]*trusted +yes[\s\S]*seed +7\n/),
    });
    expect(await callCli(['verify', join(folder, 'changed.mp4')])).toMatchObject({ code: 5 });
    expect(await callCli(['verify', join(folder, 'foreign.mp4')])).toMatchObject({ code: 4 });
    expect(await callCli(['verify', join(folder, 'empty.mp4')])).toMatchObject({ code: 6 });
    expect(await callCli(['verify', join(folder, 'newer.mp4')])).toMatchObject({ code: 8 });
    const unsigned = await callCli(['verify', plain, '--json']);
    expect(unsigned.code).toBe(3);
    expect(JSON.parse(unsigned.stdout)).toMatchObject({ file: plain, state: 'unsigned', comparison: null });
    const authority = await readFile(join(folder, 'ca.pem'), 'utf8');
    await writeFile(join(folder, 'broken.pem'), authority + authority.replace(/\n\w{8}/, '\nbroken!!'));
    for (const [args, message] of [
      [['video.avi'], '`video` must be a file name ending in .mp4 or .webp'],
      [[join(folder, 'none.mp4')], '`video` must be a readable file'],
      [[signed, '--trust', join(folder, 'key.pem')], '`--trust` must be a file of PEM certificates'],
      [[signed, '--trust', join(folder, 'broken.pem')], '`--trust` must be a file of PEM certificates; it has no PEM'],
      [[signed, '--min-psnr', 'high'], '`--min-psnr` must be a number from 0 to 200'],
      [[signed, '--preset', 'nano'], 'The video does not contain its prompt'],
      [[join(folder, 'between.mp4'), '--preset', 'nano', '--prompt', 'a'], 'pass them with `--keyframes`'],
      [
        [join(folder, 'between.mp4'), '--preset', 'nano', '--prompt', 'a', '--keyframes', join(folder, 'walk')],
        '`--keyframes` must be the 3 keyframes that the video was given (got 2 frames)',
      ],
      [[join(folder, 'inked.mp4'), '--preset', 'nano', '--prompt', 'a'], 'was made with the LoRAs ink:0.5: only'],
      [
        [join(folder, 'path.mp4'), '--models', folder, '--prompt', 'a'],
        'The video states the model "/etc/evil.json", which',
      ],
    ] as const) {
      expect(await callCli(['verify', ...args])).toMatchObject({
        code: 2,
        // The report comes first.
        stdout: args[1] === '--preset' || args[1] === '--models' ? expect.stringContaining('signed by') : '',
        stderr: expect.stringContaining(message),
      });
    }
    expect(await callCli(['verify', join(folder, 'setting.mp4'), '--preset', 'nano', '--prompt', 'a'])).toMatchObject({
      code: 8,
      stdout: expect.stringMatching(/: valid .*[\s\S]*signed by +video signer, Example Studio\n/),
      stderr: expect.stringContaining("This release cannot read the video's `seed`"),
    });
  });
});

test('a WebP with a watermark is signed too, with its prompt on request', async () => {
  const mark = join(folder, 'mark.png');
  await sharp({ create: { width: 20, height: 10, channels: 3, background: '#f0f' } })
    .png()
    .toFile(mark);
  const path = await makeVideo(
    'marked.webp',
    {},
    {
      ...(await options(signer, { FUSIONFRAMES_PROVENANCE_PROMPT: 'on' })),
      watermark: mark,
    },
  );
  expect(await readProvenance(path)).toMatchObject({
    state: 'valid',
    generation: { watermark: expect.stringMatching(/^[0-9a-f]{64}$/), settings: { prompt: 'a red circle' } },
  });
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  const pixel = (x: number, y: number) => [...data.subarray(info.channels * (y * info.width + x)).subarray(0, 3)];
  expect(pixel(110, 118).map((value) => Math.round(value / 255))).toEqual([1, 0, 1]);
  expect(new Set(pixel(20, 20)).size).toBe(1);
});

test('with an expired certificate jobs fail before the first stage, until its files are replaced', async () => {
  const { provenanceCertificate: certificate, provenanceKey: key } = await options(signer);
  const identity = { ...(await readSigningIdentity(certificate, key)), expiresAt: Date.now() - 1000 };
  const errors: unknown[] = [];
  const ownLog = createLogger('test', 'silent');
  ownLog.error = (message: unknown) => void errors.push(message);
  const expired = new VideoSigner({
    c2pa: await loadC2pa('test'),
    files: { certificate, key },
    version: 'before',
    identity,
    publishesPrompt: false,
    log: ownLog,
  });
  let encoded = 0;
  await withHttp(
    async (http) => {
      const { id } = await http.make({});
      expect(await http.ended(id)).toMatchObject({
        status: 'failed',
        error: { message: expect.stringContaining('The video could not be signed: the certificate has expired') },
      });
      expect(encoded).toBe(0);
      await writeFile(key, 'none');
      const end = expired.follow(0.02);
      try {
        await eventually(() => errors.length > 0);
        expect(errors[0]).toMatch(/has no PEM private key.*; the previous certificate signs on$/);
        await options(signer);
        await eventually(() => isValid(expired));
      } finally {
        end();
      }
      expect(await http.ended((await http.make({})).id)).toMatchObject({ status: 'completed' });
    },
    { provenance: { signer: expired, watermark: undefined }, hooks: { encode: async () => void encoded++ } },
  );
});

function isValid(signer: VideoSigner): boolean {
  try {
    signer.requireValid();
    return true;
  } catch {
    return false;
  }
}

describe('at startup, a gateway refuses', () => {
  const refuses = async (settings: Partial<ProvenanceOptions>, message: string | RegExp) => {
    await expect(openProvenance({ ...unset, ...settings }, log)).rejects.toMatchObject({
      codeName: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
  };

  test('a certificate without a key', () => refuses({ provenanceCertificate: 'a.pem' }, /^Set both/));

  test('a watermark that is not a PNG', async () => {
    await refuses(
      { watermark: '/nowhere/a.png' },
      /^`FUSIONFRAMES_WATERMARK` must be a readable PNG file: no such file or directory/,
    );
    await refuses(
      { watermark: join(folder, 'ca.pem') },
      /^`FUSIONFRAMES_WATERMARK` must be a readable PNG file: it is not a picture/,
    );
    const damaged = join(folder, 'damaged.png');
    const whole = await sharp({ create: { width: 20, height: 10, channels: 3, background: '#f0f' } })
      .png()
      .toBuffer();
    await writeFile(damaged, whole.subarray(0, whole.length - 20));
    await refuses({ watermark: damaged }, /^`FUSIONFRAMES_WATERMARK` must be a readable PNG file: it is damaged/);
  });

  test('files that are missing, do not belong together, have expired or must not sign', async () => {
    await refuses(
      { provenanceCertificate: '/nowhere/a.pem', provenanceKey: '/nowhere/b.pem' },
      /^FUSIONFRAMES_PROVENANCE_CERTIFICATE: cannot read \/nowhere\/a.pem/,
    );
    const other = authority.issueSigner('other', 'Other');
    await refuses(
      await options({ certificate: signer.certificate, key: other.key }),
      /^FUSIONFRAMES_PROVENANCE_KEY: .* is not the key of the certificate/,
    );
    await refuses(
      await options(authority.issueSigner('old', 'Old', { from: -7200, to: -3600 })),
      /^FUSIONFRAMES_PROVENANCE_CERTIFICATE: the certificate in .* expired on/,
    );
    await refuses(
      await options(authority.issue('a server', ['example.org'])),
      /^FUSIONFRAMES_PROVENANCE_CERTIFICATE: the certificate in .* cannot sign; see docs\/provenance.md/,
    );
    await refuses(await options({ certificate: 'none', key: 'none' }), /has no PEM certificate/);
  });
});
