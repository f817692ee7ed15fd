import { decoderStage } from '../services/decoder/decoder-stage.ts';
import { interpolationStage } from '../services/interpolation/interpolation-stage.ts';
import { keyframesStage } from '../services/keyframes/keyframes-stage.ts';
import type { StageName } from '../services/pipeline/stages.ts';
import { textEncoderStage } from '../services/text-encoder/text-encoder-stage.ts';
import type { Stage } from '../services/triton/stage.ts';

/** The implementation of each stage. */
export const stageServices: Readonly<Record<StageName, Stage>> = {
  'text-encoder': textEncoderStage,
  keyframes: keyframesStage,
  interpolation: interpolationStage,
  decoder: decoderStage,
};
