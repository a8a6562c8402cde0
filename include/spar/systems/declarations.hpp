#pragma once
#include "spar/systems/system.hpp"

/// One declaration a system, each in its own file; systems/system.cpp lists them.
namespace spar::systems {

SystemInfo declare_popularity();
SystemInfo declare_bpr_mf();
SystemInfo declare_apr();
SystemInfo declare_gmf();
SystemInfo declare_mlp();
SystemInfo declare_neumf();
SystemInfo declare_mf();
SystemInfo declare_vbpr();
SystemInfo declare_amr();
SystemInfo declare_sasrec();
SystemInfo declare_gru4rec();
SystemInfo declare_mult_vae();
SystemInfo declare_mult_dae();
SystemInfo declare_cdae();
SystemInfo declare_acae();
SystemInfo declare_autorec();
SystemInfo declare_pitf();
SystemInfo declare_atf();
SystemInfo declare_pat();
SystemInfo declare_fncf();

}  // namespace spar::systems
