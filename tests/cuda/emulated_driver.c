/* A library in the place of NVIDIA's driver: hands out the functions that emulated_driver.py registers with it. */
#include <string.h>

static struct {
    const char* name;
    void* function;
} functions[256];
static int count;

void emulated_register(const char* name, void* function) {
    functions[count].name = name;
    functions[count++].function = function;
}

/* For what is called where an object goes away, be it while an exception is on its way, under which no Python code may run. */
int emulated_nothing(void) {
    return 0;
}

int cuGetProcAddress_v2(const char* name, void** found, int version, unsigned long long flags, int* status) {
    (void)version;
    (void)flags;
    *found = 0;
    for (int i = 0; i < count; i++)
        if (!strcmp(functions[i].name, name)) *found = functions[i].function;
    if (!strncmp(name, "cuGetProcAddress", 16)) *found = (void*)cuGetProcAddress_v2;
    if (status) *status = *found ? 0 : 1; /* CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND */
    return *found ? 0 : 500;              /* CUDA_ERROR_NOT_FOUND */
}

int cuGetProcAddress(const char* name, void** found, int version, unsigned long long flags) {
    return cuGetProcAddress_v2(name, found, version, flags, 0);
}
