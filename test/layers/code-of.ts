const comment = /\/\/[^\n]*|\/\*.*?\*\//sy;
const string = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/y;
/** Where a value may begin a slash begins a regular expression; elsewhere it divides. */
const regularExpression =
  /(?<=(?:^|[(,=:[!&|?{};>+*%~^-]|\b(?:return|typeof|case|of|in))\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\//y;
const other = /[^/'"`{}]+|./sy;
const templateText = /(?:\\.|\$(?!\{)|[^`\\$])*/sy;

/** A source's code: without its comments, regular expressions and the texts of its templates. */
export function codeOf(source: string): string {
  /** Open braces in each template expression that the place is in. */
  const braces: number[] = [];
  let code = '';
  for (let place = 0; place < source.length; ) {
    if (take(comment) !== undefined || take(regularExpression) !== undefined) {
      code += ' ';
      continue;
    }
    const text = take(string) ?? take(other)!;
    const depth = braces.at(-1);
    if (text === '`' || (text === '}' && depth === 0)) {
      skipTemplateText(text);
    } else if (depth !== undefined && (text === '{' || text === '}')) {
      braces[braces.length - 1] = depth + (text === '{' ? 1 : -1);
    }
    code += text;

    function take(pattern: RegExp): string | undefined {
      pattern.lastIndex = place;
      const found = pattern.exec(source)?.[0];
      place += found?.length ?? 0;
      return found;
    }

    /** To the template's next expression, or to its end. */
    function skipTemplateText(from: '`' | '}'): void {
      take(templateText);
      const goesOn = source.startsWith('${', place);
      if (from === '}') {
        braces.pop();
      }
      if (goesOn) {
        braces.push(0);
      }
      place += goesOn ? 2 : 1;
    }
  }
  return code;
}
