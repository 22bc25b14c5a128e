/** Figures that the daemon draws: fetching them, and keeping them as files. */
import { answer, api } from '../api/client';

export interface FigureQuestion {
  study: string;
  /** Key of the measure. */
  key: string;
  /** `val_loss`, `width` or `depth`. */
  x: string;
  /** Glob of the models; all if empty. */
  models: string;
}

/** The drawing as SVG. */
export function readFigure(
  { study, key, x, models }: FigureQuestion,
  signal: AbortSignal,
): Promise<string> {
  return answer(
    api.GET('/api/v1/studies/{name}/figures/{figure}', {
      signal,
      params: {
        path: { name: study, figure: `${key}.svg` },
        query: { x, ...(models !== '' && { models }) },
      },
      parseAs: 'text',
    }),
  );
}

/** The colours that a drawing takes from its page. */
const COLOURS = ['text', 'muted', 'line', 'line-strong', 'surface'] as const;
/** Pixels per unit of the drawing. */
const SHARPNESS = 3;

/** Offers the drawing in `place` as a file, in the colours that it has on the page. */
export async function saveFigure(
  place: HTMLElement | undefined,
  name: string,
  kind: 'svg' | 'png',
): Promise<void> {
  const drawing = place?.querySelector('svg');
  if (!drawing) return;
  const text = withColours(new XMLSerializer().serializeToString(drawing), currentColours());
  const picture =
    kind === 'svg'
      ? new Blob([text], { type: 'image/svg+xml' })
      : await toPng(text, drawing.viewBox.baseVal);
  save(picture, `${name}.${kind}`);
}

/** A drawing with the page's colours written into it, on a ground of its own. */
export function withColours(svg: string, colours: ReadonlyMap<string, string>): string {
  const written = svg.replace(
    /var\(--([\w-]+)(?:,\s*([^)]+))?\)/g,
    (whole, token: string, fallback: string | undefined) => colours.get(token) ?? fallback ?? whole,
  );
  const ground = colours.get('surface') ?? '#fff';
  return written.replace(/(<svg[^>]*>)/, `$1<rect width="100%" height="100%" fill="${ground}"/>`);
}

function currentColours(): Map<string, string> {
  const style = getComputedStyle(document.documentElement);
  return new Map(COLOURS.map((token) => [token, style.getPropertyValue(`--${token}`).trim()]));
}

async function toPng(svg: string, box: DOMRect): Promise<Blob> {
  const image = new Image(box.width * SHARPNESS, box.height * SHARPNESS);
  // The page's security policy lets images come from data: addresses, not from blob: ones.
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => {
      if (blob) resolve(blob);
      else reject(new Error('the browser made no picture'));
    }, 'image/png');
  });
}

function save(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser has taken it by then.
  setTimeout(() => {
    URL.revokeObjectURL(link.href);
  }, 10_000);
}
