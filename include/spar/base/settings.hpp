#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "spar/base/schedule.hpp"

/// Every setting of a recipe is declared once, in settings.cpp: parsing, checking, --help, completion, the man page and
/// the reference page come from the declaration.
namespace spar {

using SettingValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                                  std::vector<double>, std::vector<std::string>>;

enum class SettingKind { flag, integer, real, text, integers, reals, texts };
/// identity: another value is another experiment. free: may change when a run goes on (epochs, checkpoint.*, output,
/// threads, deadlines).
enum class SettingRole { identity, free };

struct Setting {
  std::string key{};  ///< "adversary.epsilon"
  SettingKind kind = SettingKind::text;
  SettingValue fallback{};             ///< the default where the system declares none
  std::optional<double> minimum{};     ///< inclusive; of a list: of each element
  std::optional<double> maximum{};     ///< inclusive
  bool exclusive_minimum = false;      ///< then minimum itself is refused
  bool may_be_auto = false;            ///< integers: the text "auto" stands for a value that is resolved later
  bool may_vary = false;               ///< reals: a schedule (base/schedule.hpp) may stand for the number, as its text
  std::vector<std::string> choices{};  ///< of texts; empty: any
  bool (*keeps)(const SettingValue&) = nullptr;  ///< a further rule beside range and choices
  std::string rule{};                            ///< that rule and the range in words: "a power of two from 1 to 1024"
  std::string only_with{};  ///< the key that decides whether this setting has any effect; empty: it always has
  std::vector<std::string> only_values{};  ///< the values of `only_with` with which it has
  SettingRole role = SettingRole::identity;
  bool common = false;     ///< every system takes it
  std::string sentence{};  ///< what it does, one sentence without a final stop
  std::string origin{};    ///< where the default comes from: "APR code", "own choice", ...
};

/// All settings, in the order in which a recipe shows them. `system` itself is no setting: it decides which settings
/// there are.
const std::vector<Setting>& all_settings();
/// The declaration of `key`, or nullptr.
const Setting* find_setting(std::string_view key);
/// The nearest of `known` to `word` (edit distance, a swap of neighbours counting as one, at most a third of the word's
/// length), or nothing. For "did you mean".
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

/// The value as TOML writes it, on one line; reals in the fewest digits that read back to the same bits.
std::string setting_text(const SettingValue& value);
/// The allowed values in words: "0 or more", "1 to 4096", "one of fgm, fgsm, random", "true or false", "any text".
std::string setting_range(const Setting& setting);
/// Nothing where the setting allows the value, else what would be right, in words.
std::optional<std::string> setting_fault(const Setting& setting, const SettingValue& value);

/// What a system says about its settings: those it takes besides the common ones, and its own defaults with their
/// origins.
struct SettingDefault {
  std::string key;
  SettingValue value;
  std::string origin;
};
struct SystemSettings {
  std::string system;              ///< the name in the recipe
  std::vector<std::string> takes;  ///< keys or whole tables ("adversary.*") it understands
  std::vector<SettingDefault> defaults;

  bool understands(const Setting& setting) const;
  const SettingDefault* own_default(std::string_view key) const;  ///< or nullptr
};

/// Gives a system's declaration, or nullptr where there is no such system.
using FindSystemSettings = std::function<const SystemSettings*(const std::string&)>;

/// A resolved recipe: every setting that its system takes has a value.
class Recipe {
 public:
  const std::string& system() const { return system_; }
  const std::string& name() const { return name_; }  ///< file name without ending, or the ready recipe's name

  bool has(std::string_view key) const;
  bool flag(std::string_view key) const;
  std::int64_t integer(std::string_view key) const;
  double real(std::string_view key) const;
  /// Of a number that may vary: the schedule it follows.
  Schedule schedule(std::string_view key) const;
  const std::string& text(std::string_view key) const;
  const std::vector<std::int64_t>& integers(std::string_view key) const;
  const std::vector<double>& reals(std::string_view key) const;
  const std::vector<std::string>& texts(std::string_view key) const;
  const SettingValue& value(std::string_view key) const;
  /// Whether the value is still "auto"; integer() must not be asked before set() has resolved it.
  bool is_auto(std::string_view key) const;
  /// Whether the setting has an effect beside the other values (adam's settings have none with adagrad). Others are
  /// neither printed nor part of the identity.
  bool is_effective(const Setting& setting) const;

  /// Replaces a value (for settings that are resolved later, such as parallel.shards = "auto"); checks kind and range
  /// as for input.
  void set(std::string_view key, SettingValue value);

  /// The TOML text: tables in declaration order, one key a line; with `comments`, each with its choices, its sentence
  /// and, for a default, its origin.
  std::string toml(bool comments = false) const;
  /// "key = value" of every identity setting, in order, one a line: equal texts are the same experiment.
  std::string identity() const;

 private:
  friend Recipe parse_recipe(const std::string&, const std::string&, const std::vector<std::string>&,
                             const FindSystemSettings&, const std::vector<std::string>&);
  std::string system_;
  std::string name_;
  std::map<std::string, SettingValue, std::less<>> values_;
  std::map<std::string, std::string, std::less<>> origins_;  ///< of the values that are defaults
};

/// Reads a recipe from TOML text and applies overrides ("key=value" of --set; TOML values, bare words taken as text,
/// lists also as a,b,c). `origin` names the file in errors, with line and column. `systems` are all names, for
/// proposals. UserError, one sentence each: not TOML (file, line, column); no or an unknown system (nearest name);
/// unknown key (nearest key); a key the system does not take; a key without effect beside the others; wrong type; out
/// of range (value and range); not one of the choices (lists them); a key given twice.
Recipe parse_recipe(const std::string& toml, const std::string& origin, const std::vector<std::string>& overrides,
                    const FindSystemSettings& system_settings, const std::vector<std::string>& systems);

}  // namespace spar
