/** Faults by C2PA's status codes (specification 2.1, section 15.2), or by their beginning. */
const texts: readonly (readonly [code: string, text: string])[] = [
  ['assertion.dataHash.mismatch', 'the video was changed after signing'],
  ['assertion.bmffHash.mismatch', 'the video was changed after signing'],
  ['assertion.boxesHash.mismatch', 'the video was changed after signing'],
  ['assertion.hashedURI.mismatch', 'the manifest was changed after signing'],
  ['claimSignature.mismatch', 'the manifest was changed after signing, or its signature is forged'],
  ['claimSignature.missing', 'the manifest has no signature'],
  ['signingCredential.untrusted', 'none of the trusted authorities issued its certificate'],
  ['signingCredential.expired', 'its certificate had expired'],
  ['signingCredential.revoked', 'its certificate was revoked'],
  ['signingCredential.', 'its certificate must not sign videos'],
  ['algorithm.', 'it is signed or hashed with an algorithm that is not allowed'],
  ['timeStamp.', 'its time stamp is invalid'],
  ['assertion.', 'an assertion of its manifest is missing or malformed'],
  ['ingredient.', 'the manifest of a file it was made from is invalid'],
];

/** Words for a status of C2PA; the code itself follows where several codes share the words. */
export function statusText(code: string): string {
  const [prefix, text] = texts.find(([each]) => code.startsWith(each)) ?? ['', 'its manifest is invalid'];
  return prefix === code ? text : `${text} (${code})`;
}
