#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

/// The options of one verb, each declared once: parsing, --help, completion and the man page come from the declaration.
namespace spar::cli {

/// An option or argument as people see it.
struct OptionInfo {
  std::string name;                  ///< "--data"; of an argument by place its word: "RECIPE"
  std::string value;                 ///< what follows: "FILE", "N", "KEY=VALUE"; empty for a flag
  std::string sentence;              ///< one sentence without a final stop
  std::vector<std::string> choices;  ///< of the value, or of each element of a list
  std::string fallback;              ///< the default as shown; empty: none worth showing
  bool by_place = false;
  bool required = false;
  bool repeats = false;  ///< may be given several times
};

enum class Need { optional, required };

/// The bounds of a number, both inclusive.
struct Bounds {
  double minimum;
  double maximum;
};

class OptionSet {
 public:
  /// `verb` is named in errors ("spar train").
  explicit OptionSet(std::string verb) : verb_(std::move(verb)) {}
  OptionSet(const OptionSet&) = delete;  // declarations point here and to the bound variables
  OptionSet& operator=(const OptionSet&) = delete;

  // Declarations: each binds a variable, which keeps its value where the option is not given; that value is the default
  // that help shows.
  void flag(const std::string& name, bool& target, const std::string& sentence);
  void text(const std::string& name, const std::string& value, std::string& target, const std::string& sentence,
            Need need = Need::optional);
  void choice(const std::string& name, const std::vector<std::string>& choices, std::string& target,
              const std::string& sentence);
  void integer(const std::string& name, const std::string& value, std::int64_t& target, Bounds bounds,
               const std::string& sentence, Need need = Need::optional);
  void integer(const std::string& name, const std::string& value, int& target, Bounds bounds,
               const std::string& sentence, Need need = Need::optional);
  void integer(const std::string& name, const std::string& value, std::optional<std::int64_t>& target, Bounds bounds,
               const std::string& sentence);
  void seed(const std::string& name, std::uint64_t& target, const std::string& sentence);
  void real(const std::string& name, const std::string& value, double& target, Bounds bounds,
            const std::string& sentence);
  void real(const std::string& name, const std::string& value, std::optional<double>& target, Bounds bounds,
            const std::string& sentence);
  /// Lists: separated by commas, and the option may be repeated.
  void integers(const std::string& name, const std::string& value, std::vector<std::int64_t>& target, Bounds bounds,
                const std::string& sentence);
  void reals(const std::string& name, const std::string& value, std::vector<double>& target, Bounds bounds,
             const std::string& sentence);
  void choices(const std::string& name, const std::vector<std::string>& choices, std::vector<std::string>& target,
               const std::string& sentence);
  void list(const std::string& name, const std::string& value, std::vector<std::string>& target,
            const std::string& sentence);
  /// One whole value each time it is given; commas are part of it.
  void repeated(const std::string& name, const std::string& value, std::vector<std::string>& target,
                const std::string& sentence);
  /// Arguments by place, in order; a list takes all that remain.
  void argument(const std::string& word, std::string& target, const std::string& sentence, Need need = Need::required);
  void argument_choice(const std::string& word, const std::vector<std::string>& choices, std::string& target,
                       const std::string& sentence, Need need = Need::required);
  void arguments(const std::string& word, std::vector<std::string>& target, const std::string& sentence,
                 Need need = Need::required);

  const std::vector<OptionInfo>& all() const { return infos_; }
  const std::string& verb() const { return verb_; }

  /// Parses what follows the verb and sets the variables. UserError, one sentence each: unknown option (nearest name),
  /// an argument too many, a missing value, argument or option, an option given twice, a value of the wrong kind, range
  /// or choice.
  void parse(const std::vector<std::string>& words) const;

 private:
  using Assign = std::function<void(const std::vector<std::string>& values)>;
  void add(OptionInfo info, Assign assign);
  [[noreturn]] void refuse(const std::string& what) const;
  [[noreturn]] void refuse_value(const OptionInfo& info, const std::string& value, const std::string& right) const;
  void check_choice(const OptionInfo& info, const std::string& value) const;
  std::int64_t to_integer(const OptionInfo& info, const std::string& value, Bounds bounds) const;
  double to_real(const OptionInfo& info, const std::string& value, Bounds bounds) const;

  std::string verb_;
  std::vector<OptionInfo> infos_;
  std::vector<Assign> assigns_;  ///< beside infos_
};

/// The largest bounds: any count of at least `minimum`.
constexpr Bounds at_least(double minimum) {
  return {minimum, 9e18};
}

}  // namespace spar::cli
