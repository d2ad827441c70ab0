//! An agent alone in its process gives the pages of its program back while it waits.
//!
//! A program as large as lineman needs little of itself for a check-in, but the kernel maps it in large pieces
//! (since Linux 6.18 whole folios of the page cache, up to 2 MiB each), and all of that counts as the agent's. Taken
//! out of the agent's own address space, the pages stay in the page cache, and what is needed next is mapped again
//! by some twenty faults.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A shorter sleep is not worth it.
pub(super) const WORTH_IT: Duration = Duration::from_secs(2);

/// Whether the next pause is long enough.
static WANTED: AtomicBool = AtomicBool::new(false);

/// Asks for the pages to be given back as soon as the thread has nothing to do.
pub(super) fn give_back_when_parked() {
    WANTED.store(true, Ordering::Relaxed);
}

/// What the runtime calls before its thread sleeps: from here to the system's own wait little code is left to run.
pub(super) fn on_park() {
    if WANTED.swap(false, Ordering::Relaxed) {
        give_back();
    }
}

/// Unmaps the parts of this program that are read from its file and never written.
fn give_back() {
    #[expect(unsafe_code, reason = "only the loader knows where this program lies, and it tells by a C call")]
    // SAFETY: the callback keeps to the contract of dl_iterate_phdr, and needs no data.
    unsafe {
        libc::dl_iterate_phdr(Some(unmap), std::ptr::null_mut());
    }
}

/// Called for the program itself first, and ends there: the libraries are shared with others anyway.
#[expect(unsafe_code, reason = "the loader's C interface")]
unsafe extern "C" fn unmap(object: *mut libc::dl_phdr_info, _size: usize, _data: *mut c_void) -> c_int {
    // SAFETY: the loader passes a valid object, alive during this call, with `dlpi_phnum` headers at `dlpi_phdr`.
    let (base, headers) = unsafe {
        let object = &*object;
        if object.dlpi_phdr.is_null() {
            return 1;
        }
        (object.dlpi_addr, std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)))
    };
    // SAFETY: sysconf has no preconditions.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    for header in headers {
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        // Whole pages inside the segment alone: a page at its edge may belong to a written one as well.
        let from = (base + header.p_vaddr).next_multiple_of(page);
        let to = (base + header.p_vaddr + header.p_memsz) / page * page;
        if to > from {
            let (at, len) = (from as usize as *mut c_void, (to - from) as usize);
            // SAFETY: the range lies in a private mapping of the program's file that is not writable, so that every
            // page of it reads the same when it is mapped again; that it is running code does not matter.
            unsafe { libc::madvise(at, len, libc::MADV_DONTNEED) };
        }
    }
    1
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_program_goes_on_without_its_pages() {
        let words: Vec<String> =
            (0..100).map(|n| format!("{n} {}", concat!("a constant", " of this program"))).collect();
        super::give_back();
        assert_eq!(words[99], "99 a constant of this program");
        super::give_back();
    }
}
