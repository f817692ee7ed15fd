/** `1.2 s`, `48 s`, `2 min 05 s`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) {
    return `${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  }
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}

/** `138 kB`, `1.4 MB`. */
export function formatBytes(bytes: number): string {
  return bytes < 999_500 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

const units: [Intl.RelativeTimeFormatUnit, seconds: number][] = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
];

/** `just now`, `5 minutes ago`. `time` in Unix seconds. */
export function formatAge(time: number): string {
  const age = Date.now() / 1000 - time;
  const unit = units.find(([, seconds]) => age >= seconds);
  if (!unit) {
    return 'just now';
  }
  return new Intl.RelativeTimeFormat('en', { numeric: 'auto' }).format(-Math.floor(age / unit[1]), unit[0]);
}

/** `64×64` of `64x64`. */
export function formatSize(size: string): string {
  return size.replace('x', '×');
}

/** A file's name from a prompt: letters and digits of any script, short. */
export function fileName(prompt: string, seed: string, extension: string): string {
  const words = prompt
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '-')
    .replaceAll(/^-+|-+$/g, '');
  return `${[...words].slice(0, 60).join('').replace(/-+$/, '') || 'video'}-${seed}.${extension}`;
}
