import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { invalidField } from '../../services/kit/errors.ts';

/** A frame's number is the last one in its name; all before it names the series. */
const frameName = /^(?<series>.*?)(?<number>\d+)\.(png|jpe?g|webp)$/i;

/** The numbered pictures of a folder, by number. */
export async function numberedFrames(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => frameName.test(name));
  return names.sort((a, b) => numberOf(a) - numberOf(b) || (a < b ? -1 : 1)).map((name) => join(folder, name));
}

/** Throws INVALID_ARGUMENT naming the field for pictures of several series, and for two with the same number. */
export function requireOneSeries(field: string, folder: string, files: readonly string[]): void {
  const names = files.map((file) => basename(file));
  const other = names.find((name) => seriesOf(name) !== seriesOf(names[0]!));
  if (other !== undefined) {
    const fault = `it has "${names[0]}" and "${other}"`;
    throw invalidField(field, folder, `a folder with one series of numbered pictures: ${fault}`);
  }
  const twice = names.findIndex((name, index) => index > 0 && numberOf(name) === numberOf(names[index - 1]!));
  if (twice !== -1) {
    const fault = `it has "${names[twice - 1]}" and "${names[twice]}"`;
    throw invalidField(field, folder, `a folder with one picture of each number: ${fault}`);
  }
}

/** Throws INVALID_ARGUMENT naming the field unless the numbers have equal steps; so a missing frame is noticed. */
export function requireEqualSteps(field: string, folder: string, files: readonly string[]): void {
  const names = files.map((file) => basename(file));
  const steps = names.slice(1).map((name, index) => numberOf(name) - numberOf(names[index]!));
  const gap = steps.findIndex((step) => step !== Math.min(...steps));
  if (gap !== -1) {
    const fault = `"${names[gap + 1]}" follows "${names[gap]}"`;
    throw invalidField(field, folder, `a folder of pictures that are numbered without gaps: ${fault}`);
  }
}

function numberOf(name: string): number {
  return Number(frameName.exec(name)!.groups!.number);
}

function seriesOf(name: string): string {
  return frameName.exec(name)!.groups!.series!;
}
