import { oneOf, type Setting, text, type Values } from '../../services/kit/settings.ts';

/** Settings of signatures and labels, see docs/provenance.md. */
export const provenanceSettings = {
  provenanceCertificate: {
    name: 'FUSIONFRAMES_PROVENANCE_CERTIFICATE',
    description:
      'File with the certificate that signs videos (C2PA), then its intermediates, PEM; empty: videos are not signed; see provenance.md',
    schema: text(''),
  },
  provenanceKey: {
    name: 'FUSIONFRAMES_PROVENANCE_KEY',
    description: 'File with the private key of that certificate, PEM',
    schema: text(''),
  },
  provenancePrompt: {
    name: 'FUSIONFRAMES_PROVENANCE_PROMPT',
    description: 'on: signed videos contain their prompts',
    schema: oneOf(['on', 'off'], 'off'),
  },
  watermark: {
    name: 'FUSIONFRAMES_WATERMARK',
    description: 'PNG file drawn into the lower right corner of every frame; empty: none; see provenance.md',
    schema: text(''),
  },
} satisfies Record<string, Setting<unknown>>;

export type ProvenanceOptions = Values<typeof provenanceSettings>;
