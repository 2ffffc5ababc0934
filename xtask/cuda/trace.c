// Loaded by the driver (CUDA_INJECTION64_PATH): writes every kernel, copy and synchronisation of the process to TRACE_FILE.
#include <cupti.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static FILE *out;
static void CUPTIAPI request(uint8_t **buffer, size_t *size, size_t *records) {
  *size = 8 << 20; *buffer = aligned_alloc(8, *size); *records = 0;
}
static void CUPTIAPI complete(CUcontext c, uint32_t stream, uint8_t *buffer, size_t size, size_t valid) {
  CUpti_Activity *r = NULL;
  while (cuptiActivityGetNextRecord(buffer, valid, &r) == CUPTI_SUCCESS) {
    switch (r->kind) {
    case CUPTI_ACTIVITY_KIND_KERNEL:
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: {
      CUpti_ActivityKernel9 *k = (CUpti_ActivityKernel9 *)r;
      fprintf(out, "K\t%llu\t%llu\t%u\t%d,%d,%d\t%d,%d,%d\t%d\t%s\n", (unsigned long long)k->start, (unsigned long long)k->end, k->streamId, k->gridX, k->gridY, k->gridZ, k->blockX, k->blockY, k->blockZ, k->registersPerThread, k->name ? k->name : "?");
      break; }
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
      CUpti_ActivityMemcpy5 *m = (CUpti_ActivityMemcpy5 *)r;
      fprintf(out, "C\t%llu\t%llu\t%u\t%llu\t%d\n", (unsigned long long)m->start, (unsigned long long)m->end, m->streamId, (unsigned long long)m->bytes, m->copyKind);
      break; }
    case CUPTI_ACTIVITY_KIND_MEMSET: {
      CUpti_ActivityMemset4 *m = (CUpti_ActivityMemset4 *)r;
      fprintf(out, "M\t%llu\t%llu\t%u\t%llu\n", (unsigned long long)m->start, (unsigned long long)m->end, m->streamId, (unsigned long long)m->bytes);
      break; }
    case CUPTI_ACTIVITY_KIND_SYNCHRONIZATION: {
      CUpti_ActivitySynchronization *s = (CUpti_ActivitySynchronization *)r;
      fprintf(out, "S\t%llu\t%llu\t%d\n", (unsigned long long)s->start, (unsigned long long)s->end, s->type);
      break; }
    default: break;
    }
  }
  free(buffer); fflush(out);
}
static void done(void) { cuptiActivityFlushAll(1); if (out) { fflush(out); } }
int InitializeInjection(void) {
  const char *path = getenv("TRACE_FILE");
  out = fopen(path ? path : "/tmp/trace.tsv", "w");
  if (!out) return 0;
  setvbuf(out, NULL, _IOFBF, 1 << 22);
  cuptiActivityRegisterCallbacks(request, complete);
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMCPY);
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMSET);
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_SYNCHRONIZATION);
  cuptiActivityFlushPeriod(500);
  atexit(done);
  return 1;
}
