#pragma once

/// Signals that ask a training to stop. The handlers set a flag and nothing else; the training loop looks at it once a
/// step, and all ranks act on it together (docs/architecture.md, "Leaving together").
namespace spar {

/// From now on SIGUSR1, SIGTERM and SIGINT ask for a stop, and a file that outgrows its size limit is a failed write
/// instead of a death (SIGXFSZ is ignored). A second SIGINT, at least 200 ms after the first, leaves at once with exit
/// code 130; one that comes earlier is the same request delivered twice, by the terminal and by mpirun. Calling it
/// again changes nothing. EnvironmentError where the system refuses.
void install_signal_handlers();

/// Whether a stop has been asked for. Lock-free; any thread.
bool stop_requested() noexcept;

/// The first signal that asked for the stop (SIGUSR1 ...), or 0; for the log.
int stop_signal() noexcept;

/// Its usual name: "SIGUSR1", "SIGTERM", "SIGINT"; "none" for 0.
const char* signal_name(int signal) noexcept;

/// Asks for a stop as a signal would, for a training that ends itself; `signal` may be 0.
void request_stop(int signal = 0) noexcept;

/// Forgets earlier requests. For a process that trains several times, and for tests.
void forget_stop_request() noexcept;

}  // namespace spar
