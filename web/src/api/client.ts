/** Calls of the daemon's API, typed by its OpenAPI document. The browser's session cookie goes along. */
import createClient from 'openapi-fetch';
import type { paths } from './schema';
import type { Problem } from './types';

/** Milliseconds after which a daemon that took a question and says nothing counts as away. */
const PATIENCE = 60_000;

export const api = createClient<paths>({
  baseUrl: '/',
  credentials: 'same-origin',
  fetch: (request) =>
    fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(PATIENCE)]) }),
});

/** An error answer of the daemon, or no answer at all (status 0). */
export class ApiError extends Error {
  readonly status: number;
  readonly hint: string | undefined;

  constructor(status: number, message: string, hint?: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.hint = hint;
  }
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The data of an answer; throws an {@link ApiError} for a problem or when the daemon is away. */
export async function answer<T>(call: Promise<Answer<T>>): Promise<T> {
  let result: Answer<T>;
  try {
    result = await call;
  } catch {
    throw new ApiError(0, 'the daemon does not answer', 'start it with: lcctl serve');
  }
  // What only was to be done is answered by nothing.
  if (result.response.ok) return result.data as T;
  throw toError(result.response.status, result.error);
}

function toError(status: number, body: unknown): ApiError {
  if (status === 401) {
    return new ApiError(401, 'this browser is not signed in', 'get a new link with: lcctl login');
  }
  if (isProblem(body)) return new ApiError(status, body.detail, body.hint ?? undefined);
  return new ApiError(status, `the daemon answered with status ${status}`);
}

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'detail' in body;
}
