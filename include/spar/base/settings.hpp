#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// Every setting of a recipe is declared once, here and in settings.cpp: parsing, checking, --help, completion, the man page and the reference page come from the declaration.
namespace spar {

using SettingValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>, std::vector<std::string>>;

enum class SettingKind { flag, integer, real, text, integers, reals, texts };
/// identity: another value is another experiment. free: may change when a run goes on (epochs, checkpoint.*, output, threads, deadlines).
enum class SettingRole { identity, free };

struct Setting {
  std::string key;  ///< "adversary.epsilon"
  SettingKind kind;
  SettingValue fallback;            ///< the default where the system declares none
  std::optional<double> minimum;    ///< inclusive
  std::optional<double> maximum;
  bool exclusive_minimum = false;   ///< then minimum itself is refused
  std::vector<std::string> choices; ///< for texts; empty: any
  SettingRole role = SettingRole::identity;
  std::string sentence;             ///< what it does, one sentence
  std::string origin;               ///< where the default comes from: "APR code", "own choice", ...
};

/// All settings, in the order in which a recipe shows them.
const std::vector<Setting>& all_settings();
/// The declaration of `key`, or nullptr.
const Setting* find_setting(std::string_view key);
/// The nearest of `known` to `word` (edit distance at most a third of its length), or nothing. For "did you mean".
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

/// What a system says about its settings: those it takes besides the common ones, and its own defaults with their origins.
struct SettingDefault {
  std::string key;
  SettingValue value;
  std::string origin;
};
struct SystemSettings {
  std::string system;                    ///< the name in the recipe
  std::vector<std::string> takes;        ///< keys or whole tables ("adversary.*") it understands
  std::vector<SettingDefault> defaults;
};

/// A resolved recipe: every setting that its system takes has a value.
class Recipe {
 public:
  const std::string& system() const { return system_; }
  const std::string& name() const { return name_; }  ///< file name without ending, or the ready recipe's name

  bool has(std::string_view key) const;
  bool flag(std::string_view key) const;
  std::int64_t integer(std::string_view key) const;
  double real(std::string_view key) const;
  const std::string& text(std::string_view key) const;
  const std::vector<std::int64_t>& integers(std::string_view key) const;
  const std::vector<double>& reals(std::string_view key) const;
  const std::vector<std::string>& texts(std::string_view key) const;

  /// Replaces a value (for settings that are resolved later, such as parallel.shards = "auto"); checks kind and range as for input.
  void set(std::string_view key, SettingValue value);

  /// The TOML text: tables in declaration order, one key a line; with `comments`, each with its sentence and origin.
  std::string toml(bool comments = false) const;
  /// "key = value" of every identity setting, in order, one a line: equal texts are the same experiment.
  std::string identity() const;

 private:
  friend Recipe parse_recipe(const std::string&, const std::string&, const std::vector<std::string>&,
                             const std::function<const SystemSettings*(const std::string&)>&, const std::vector<std::string>&);
  std::string system_;
  std::string name_;
  std::map<std::string, SettingValue, std::less<>> values_;
};

/// Reads a recipe from TOML text and applies overrides ("key=value" of --set; TOML values, bare words taken as text). `origin` names the file in errors, with line and column.
/// `system_settings(name)` gives a system's declaration or nullptr; `systems` are all names, for proposals.
/// UserError, one sentence each: not TOML (file, line, column); no or an unknown system (nearest name); unknown key (nearest key); a key the system does not
/// take; wrong type; out of range (value and range); not one of the choices (lists them); a key given twice.
Recipe parse_recipe(const std::string& toml, const std::string& origin, const std::vector<std::string>& overrides,
                    const std::function<const SystemSettings*(const std::string&)>& system_settings, const std::vector<std::string>& systems);

}  // namespace spar
