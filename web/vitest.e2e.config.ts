import { defineConfig } from 'vitest/config';

// One browser, one session from a login link that works once: the tests of the file share them.
export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    environment: 'node',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['verbose'],
  },
});
