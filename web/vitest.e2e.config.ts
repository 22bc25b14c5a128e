import { defineConfig } from 'vitest/config';

// One daemon and one session from a login link that works once: the files take turns.
export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: ['tests/session.ts'],
    fileParallelism: false,
    environment: 'node',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['verbose'],
  },
});
