"""Machine code of CUDA kernels, compute capability 7.5, as C.

    translate.py index LIBRARY                the kernels in a library, into $EMULATED_CUDA
    translate.py stubs LIBRARY SONAME SOURCE  C++ for what LIBRARY wants of SONAME and SOURCE does not define: it ends and says so
    translate.py translate KERNEL OUTPUT      one kernel as a shared library

NVIDIA's nvdisasm gives the instructions. What they do follows their names, the PTX ISA, and the CUDA Binary Utilities' instruction sets;
an instruction that is not known ends the translation.
"""

import json
import os
import re
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.environ["EMULATED_CUDA"]
CAPABILITY = 75


class Unknown(Exception):
    pass


# ---- files ----


class Elf:
    def __init__(self, data):
        self.data = data
        (offset,) = struct.unpack_from("<Q", data, 0x28)
        size, count, names = struct.unpack_from("<HHH", data, 0x3A)
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(count)]
        start = headers[names][4]
        self.sections = {self._text(start + header[0]): header for header in headers}

    def _text(self, at):
        return self.data[at : self.data.index(b"\0", at)].decode()

    def section(self, name):
        header = self.sections.get(name)
        if header is None:
            return None
        is_empty = header[1] == 8  # NOBITS
        return bytes(header[5]) if is_empty else self.data[header[4] : header[4] + header[5]]


def index(library):
    """Unpacks the code for one capability out of a library's fat binaries."""
    import zstandard

    code = Elf(open(library, "rb").read()).section(".nv_fatbin")
    kernels = {}
    at = number = 0
    while at < len(code):
        if struct.unpack_from("<I", code, at)[0] != 0xBA55ED50:
            at += 8
            continue
        header, size = struct.unpack_from("<HQ", code, at + 6)
        entry, end = at + header, at + header + size
        while entry < end:
            entry_header, padded = struct.unpack_from("<IQ", code, entry + 4)
            (packed,) = struct.unpack_from("<I", code, entry + 16)
            (capability,) = struct.unpack_from("<I", code, entry + 28)
            if capability == CAPABILITY:
                data = code[entry + entry_header : entry + entry_header + (packed or padded)]
                if data[:4] == b"\x28\xb5\x2f\xfd":
                    data = zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 28)
                file = os.path.join(FOLDER, "code", f"{number}.cubin")
                open(file, "wb").write(data)
                for name in Elf(data).sections:
                    if name.startswith(".text."):
                        kernels[name[6:]] = number
            entry += entry_header + padded
        number += 1
        at = (end + 7) // 8 * 8
    json.dump(kernels, open(os.path.join(FOLDER, "kernels.json"), "w"))
    print(f"{len(kernels)} kernels")


def stubs(library, soname, source):
    symbols = subprocess.run(["nm", "-D", "--undefined-only", library], capture_output=True, text=True, check=True).stdout
    wanted = r"cu[A-Z]\w*" if soname == "libcuda.so.1" else rf"\w+(?=@{re.escape(soname)}$)"  # the driver's have no version
    defined = open(source).read()
    print('#include <cstdio>\n#include <cstdlib>\nextern "C" {')
    for name in re.findall(rf"\bU ({wanted})", symbols, re.M):
        if not re.search(rf"\b{name}\s*\(", defined):
            print(f'void {name}() {{ fprintf(stderr, "emulated CUDA: {name} is not there\\n"); _Exit(98); }}')
    print("}")


def instructions(name, number):
    """("label", name) and ("instruction", address, text) of a kernel."""
    listing = os.path.join(FOLDER, "code", f"{number}.txt")
    if not os.path.exists(listing):
        binary = os.path.join(FOLDER, "code", f"{number}.cubin")
        result = subprocess.run([os.environ["NVDISASM"], "-c", binary], capture_output=True, text=True, check=True)
        open(f"{listing}.{os.getpid()}", "w").write(result.stdout)
        os.rename(f"{listing}.{os.getpid()}", listing)
    text = open(listing).read()
    start = text.index(f"\n.text.{name}:")
    end = text.find("\n//-------", start)
    lines = []
    for line in text[start : end if end > 0 else None].split("\n"):
        label = re.match(r"^\s*([.$\w]+):$", line)
        instruction = re.search(r"/\*([0-9a-f]{4,})\*/\s+(.*?)\s*;", line)
        if label:
            lines.append(("label", label[1]))
        elif instruction:
            lines.append(("instruction", int(instruction[1], 16), instruction[2].replace(".reuse", "")))
    return lines


# ---- operands ----

NUMBER = r"[-+]?(\d+(\.\d+)?(e[-+]?\d+)?|INF|QNAN)"


def is_predicate(operand):
    return re.fullmatch(r"!?U?P[\dT]", operand) is not None


def is_bits(operand):
    return re.fullmatch(r"-?0x[0-9a-f]+", operand) is not None


def label(text):
    return "L_" + re.sub(r"\W", "_", text)


def number(operand):
    if operand.endswith("INF"):
        return "-INFINITY" if operand[0] == "-" else "INFINITY"
    if operand.endswith("QNAN"):
        return "F(0xffffffff)" if operand[0] == "-" else "F(0x7fffffff)"
    return f"((float){operand})" if "." in operand or "e" in operand else f"((float){operand}.0)"


def split_operands(text):
    operands, depth, current = [], 0, ""
    for character in text:
        depth += (character in "[({") - (character in "])}")
        if character == "," and depth == 0:
            operands.append(current.strip())
            current = ""
        else:
            current += character
    return operands + [current.strip()] if current.strip() else operands


class Operands:
    """Operands as expressions of C; notes the registers and predicates that there are."""

    def __init__(self):
        self.registers = set()
        self.predicates = set()

    def register(self, operand):
        """Its variable, None for the zero register."""
        if operand in ("RZ", "URZ", "SRZ"):
            return None
        if not re.fullmatch(r"U?R\d+", operand):
            raise Unknown(f"register {operand}")
        self.registers.add(operand)
        return operand

    def following(self, operand, by=1):
        match = re.fullmatch(r"(U?R)(\d+)", operand)
        return None if match is None else self.register(f"{match[1]}{int(match[2]) + by}")

    def constant(self, operand, width=32):
        bank, offset = re.fullmatch(r"c\[0x(\w+)\]\[(.*)\]", operand).groups()
        return f"c{width}(t->constants[{int(bank, 16)}], {offset if is_bits(offset) else self.address(offset)})"

    def address(self, text, is_wide=False):
        terms = []
        for term in text.replace("+-0x", "+~0x").split("+"):
            if term.startswith("~"):
                terms.append(f"-{term[1:]}" if is_wide else f"(u32)-{term[1:]}")
            elif is_bits(term):
                terms.append(term)
            else:
                match = re.fullmatch(r"(U?R\d+|U?RZ)((?:\.\w+)*)", term)
                if not match:
                    raise Unknown(f"address {text}")
                name, modifiers = match.groups()
                is_pair = is_wide and ".U32" not in modifiers
                if self.register(name) is None:
                    value = "0ull" if is_pair else "0u"
                else:
                    value = f"((u64){self.following(name)} << 32 | {name})" if is_pair else name
                factor = re.search(r"\.X(\d+)", modifiers)
                terms.append(f"({value} * {factor[1]})" if factor else value)
        return f"({' + '.join(terms)})"

    def u32(self, operand):
        if is_bits(operand):
            return f"((u32){operand})"
        if re.fullmatch(NUMBER, operand):
            return f"B({number(operand)})"
        if operand.startswith("-"):
            return f"(0u - {self.u32(operand[1:])})"
        if operand.startswith("~"):
            return f"(~{self.u32(operand[1:])})"
        if operand.startswith("|"):
            return f"((u32)abs((s32){self.u32(operand[1:-1])}))"
        if operand.startswith("c["):
            return self.constant(operand)
        return self.register(operand) or "0u"

    def f32(self, operand):
        if is_bits(operand):
            return f"F({operand})"
        if re.fullmatch(NUMBER, operand):
            return number(operand)
        if operand.startswith("-"):
            return f"(-{self.f32(operand[1:])})"
        if operand.startswith("|"):
            return f"fabsf({self.f32(operand[1:-1])})"
        return f"F({self.u32(operand)})"

    def u64(self, operand):
        if operand.startswith("c["):
            return self.constant(operand, 64)
        if operand.startswith("-") and not is_bits(operand):
            return f"(0ull - {self.u64(operand[1:])})"
        if is_bits(operand):
            return f"((u64)(s64){operand})"
        return "0ull" if self.register(operand) is None else f"((u64){self.following(operand)} << 32 | {operand})"

    def f64(self, operand):
        if re.fullmatch(NUMBER, operand):
            return number(operand).replace("(float)", "(double)")
        if operand.startswith("-"):
            return f"(-{self.f64(operand[1:])})"
        if operand.startswith("|"):
            return f"fabs({self.f64(operand[1:-1])})"
        return f"D({self.u64(operand)})"

    def halves(self, operands):
        """Low and high half of each; a pair of numbers, the high one first, is one operand."""
        result = []
        while operands:
            operand, *operands = operands
            if re.fullmatch(NUMBER, operand):
                low, *operands = operands
                result.append((f"H(HB({number(low)}))", f"H(HB({number(operand)}))"))
                continue
            sign, bar, core = re.fullmatch(r"(-?)(\|?)([^|]+)\|?(?:\.H[01]_H[01])?", operand).groups()
            selected = re.search(r"\.(H[01])_(H[01])", operand)
            value = self.u32(re.sub(r"\.H[01]_H[01]$", "", core))
            high, low = selected.groups() if selected else ("H1", "H0")
            parts = [f"H({value} >> 16)" if half == "H1" else f"H({value})" for half in (low, high)]
            result.append(tuple(f"{sign}fabsf({part})" if bar else f"{sign}{part}" for part in parts))
        return result

    def predicate(self, operand):
        negation, name = ("!", operand[1:]) if operand.startswith("!") else ("", operand)
        if name in ("PT", "UPT"):
            return "0" if negation else "1"
        self.predicates.add(name)
        return negation + name

    def set_predicate(self, operand, value):
        if operand in ("PT", "UPT"):
            return f"(void)({value});"
        return f"{self.predicate(operand)} = ({value});"

    def set(self, operand, value):
        return f"(void)({value});" if self.register(operand) is None else f"{operand} = ({value});"

    def set64(self, operand, value):
        if self.register(operand) is None:
            return ";"
        return f"{{ u64 v_ = ({value}); {operand} = (u32)v_; {self.following(operand)} = (u32)(v_ >> 32); }}"


# ---- instructions ----

COMPARISONS = {"LT": "<", "LE": "<=", "GT": ">", "GE": ">=", "EQ": "==", "NE": "!="}
ROUNDINGS = {"RM": 1, "RP": 2, "RZ": 3}
NOTHING = "BSSY BSYNC BMOV MEMBAR ERRBAR CCTL YIELD DEPBAR BREAK".split()
MEMORY = {
    "LDG": ("load", "global"),
    "LDS": ("load", "shared"),
    "LDL": ("load", "local"),
    "STG": ("store", "global"),
    "STS": ("store", "shared"),
    "STL": ("store", "local"),
}
SHUFFLES = {"IDX": "shuffle_index", "UP": "shuffle_up", "DOWN": "shuffle_down", "BFLY": "shuffle_butterfly"}
VOTES = {"ANY": "vote_any", "ALL": "vote_all", "EQ": "vote_equal"}
FUNCTIONS = {
    "RCP": "(1.0f / {0})",
    "RSQ": "(float)(1.0 / sqrt((double){0}))",
    "EX2": "exp2f({0})",
    "LG2": "log2f({0})",
    "SQRT": "sqrtf({0})",
    "SIN": "(float)sin(6.283185307179586 * (double){0})",
    "COS": "(float)cos(6.283185307179586 * (double){0})",
    "TANH": "tanhf({0})",
}
SPECIAL = {
    "SR_LANEID": "t->lane",
    "SR_LTMASK": "((1u << t->lane) - 1)",
    "SR_EQMASK": "(1u << t->lane)",
    "SR_GEMASK": "~((1u << t->lane) - 1)",
}


def float_comparison(operation, a, b):
    if operation == "NUM":
        return f"({a} == {a} && {b} == {b})"
    if operation == "NAN":
        return f"({a} != {a} || {b} != {b})"
    ordered = operation[:2]
    is_unordered = len(operation) == 3
    if ordered == "NE":
        return f"({a} != {b})" if is_unordered else f"({a} < {b} || {a} > {b})"
    if not is_unordered:
        return f"({a} {COMPARISONS[ordered]} {b})"
    inverse = {"LT": ">=", "LE": ">", "GT": "<=", "GE": "<"}.get(ordered)
    return f"!({a} {inverse} {b})" if inverse else f"!({a} < {b} || {a} > {b})"


class Translator(Operands):
    def __init__(self):
        super().__init__()
        self.is_alone = True
        self.returns = []

    def meet(self, operation, place):
        self.is_alone = False
        return f"emulated_meet(t, {operation}, {place});"

    def float_in(self, modifiers, operand):
        return f"ftz({self.f32(operand)})" if "FTZ" in modifiers else self.f32(operand)

    @staticmethod
    def float_out(modifiers, value):
        value = f"ftz({value})" if "FTZ" in modifiers else value
        return f"sat({value})" if "SAT" in modifiers else value

    @staticmethod
    def rounding(modifiers):
        return next((ROUNDINGS[modifier] for modifier in modifiers if modifier in ROUNDINGS), 0)

    def compared(self, modifiers, targets, second, before):
        """Sets two predicates by c_, and by `second` in its place."""
        operator = "||" if "OR" in modifiers else "^" if "XOR" in modifiers else "&&"
        pairs = zip(targets, ("c_", second))
        return f"int p_ = {self.predicate(before)};" + "".join(
            self.set_predicate(to, f"({value}) {operator} p_") for to, value in pairs
        )

    def sum(self, target, terms, carries):
        code = f"{{ u64 s_ = {' + '.join(terms)};"
        for least, carry in enumerate(carries, 1):
            code += self.set_predicate(carry, f"(s_ >> 32) >= {least}")
        return code + self.set(target, "(u32)s_") + "}"

    def instruction(self, place, text, is_sync):
        name, *rest = text.split(None, 1)
        base, *modifiers = name.split(".")
        if base.startswith("U"):
            base = base[1:]  # the same for a whole warp
        operands = split_operands(rest[0]) if rest else []
        if base in NOTHING or (base == "NOP" and not is_sync):
            return ";"
        if base in ("WARPSYNC", "NOP"):  # where the compiler knows that a warp is together, its meeting is a NOP
            return self.meet("warp_sync", place)
        if base in MEMORY:
            way, space = MEMORY[base]
            if space == "global" and "E" not in modifiers:  # addresses of 64 bits
                raise Unknown(text)
            return getattr(self, way)(space, modifiers, operands)
        handler = getattr(self, f"do_{base}", None)
        if handler is None:
            raise Unknown(text)
        code = handler(modifiers, operands, place)
        if code is None:
            raise Unknown(text)
        return code

    # control

    def do_EXIT(self, modifiers, operands, place):
        return "goto done;"

    def do_BRA(self, modifiers, operands, place):
        if "DIV" in modifiers:
            return ";"  # where a warp has fallen apart
        conditions = [operand for operand in operands if is_predicate(operand)]
        (target,) = [operand for operand in operands if operand.startswith("`")]
        test = f"if ({' && '.join(map(self.predicate, conditions))}) " if conditions else ""
        return f"{test}goto {label(target[2:-1])};"

    def do_CALL(self, modifiers, operands, place):
        self.returns.append(place + 16)
        return f"goto {label(operands[0][2:-1])};"

    def do_RET(self, modifiers, operands, place):
        return f"return_ = {self.u32(operands[0].split()[0])}; goto returns;"

    # moves

    def do_MOV(self, modifiers, operands, place):
        return self.set(operands[0], self.u32(operands[1]))

    def do_LDC(self, modifiers, operands, place):
        if "64" in modifiers:
            return self.set64(operands[0], self.constant(operands[1], 64))
        value = self.constant(operands[1])
        types = {"S8": "(u32)(s32)(int8_t)", "U8": "(uint8_t)", "U16": "(uint16_t)", "S16": "(u32)(s32)(int16_t)"}
        return self.set(operands[0], "".join(types.get(modifier, "") for modifier in modifiers) + value)

    def do_S2R(self, modifiers, operands, place):
        target, source = operands
        if source == "SRZ":
            return self.set(target, "0") if "32" in modifiers else self.set64(target, "0")
        match = re.fullmatch(r"SR_(TID|CTAID|NTID|NCTAID)\.([XYZ])", source)
        value = f"t->{match[1].lower()}[{'XYZ'.index(match[2])}]" if match else SPECIAL.get(source)
        return value and self.set(target, value)

    do_CS2R = do_S2UR = do_2UR = do_S2R

    def do_SEL(self, modifiers, operands, place):
        target, a, b, chooser = operands
        return self.set(target, f"({self.predicate(chooser)}) ? {self.u32(a)} : {self.u32(b)}")

    def do_FSEL(self, modifiers, operands, place):
        target, a, b, chooser = operands
        return self.set(target, f"({self.predicate(chooser)}) ? B({self.f32(a)}) : B({self.f32(b)})")

    def do_PRMT(self, modifiers, operands, place):
        return self.set(operands[0], f"prmt({', '.join(map(self.u32, operands[1:]))})")

    def do_P2R(self, modifiers, operands, place):
        if any(operand not in ("PR", "RZ") and not is_bits(operand) for operand in operands[1:]):
            return None
        bits = " | ".join(f"{self.predicate(f'P{i}')} << {i}" for i in range(7))
        return self.set(operands[0], f"({bits}) & {operands[-1]}")

    def do_R2P(self, modifiers, operands, place):
        chosen = [i for i in range(7) if int(operands[2], 16) >> i & 1]
        return "".join(self.set_predicate(f"P{i}", f"{self.u32(operands[1])} >> {i} & 1") for i in chosen)

    # whole numbers

    def do_IADD3(self, modifiers, operands, place):
        target, *operands = operands
        carries = []
        while is_predicate(operands[0]):
            carries.append(operands.pop(0))
        is_extended = "X" in modifiers
        terms = []
        for operand in operands[:3]:
            is_negated = operand.startswith("-") and not is_bits(operand) and not is_extended
            terms.append(f"negated({self.u32(operand[1:])})" if is_negated else f"(u64){self.u32(operand)}")
        if is_extended:
            terms += [f"(u64)({self.predicate(carry)})" for carry in operands[3:]]
        return self.sum(target, terms, carries)

    def do_IMAD(self, modifiers, operands, place):
        target, *operands = operands
        carries = [operands.pop(0)] if is_predicate(operands[0]) else []
        a, b, c, *carried = operands
        if "WIDE" not in modifiers and "HI" not in modifiers:
            terms = [f"(u64)({self.u32(a)} * {self.u32(b)})", f"(u64){self.u32(c)}"]
            terms += [f"(u64)({self.predicate(carry)})" for carry in carried]
            return self.sum(target, terms, carries)
        if carried:
            return None
        factors = [f"(u64){self.u32(a)}", f"(u64){self.u32(b)}"]
        if "U32" not in modifiers:
            factors = [f"(s64)(s32){self.u32(a)}", f"(s64)(s32){self.u32(b)}"]
        code = f"{{ u64 p_ = (u64)({' * '.join(factors)}), w_ = p_ + {self.u64(c)};"
        code += "".join(self.set_predicate(carry, "w_ < p_") for carry in carries)
        return code + (self.set64(target, "w_") if "WIDE" in modifiers else self.set(target, "(u32)(w_ >> 32)")) + "}"

    def do_LEA(self, modifiers, operands, place):
        target, *operands = operands
        carries = [operands.pop(0)] if is_predicate(operands[0]) else []
        is_extended = "X" in modifiers
        if "HI" in modifiers:
            if "SX32" in modifiers:
                a, b, by, *carried = operands
                value = f"(u64)(s64)(s32){self.u32(a)}"
            else:
                a, b, high, by, *carried = operands
                value = f"((u64){self.u32(high)} << 32 | {self.u32(a)})"
            shifted = f"(u64)(u32)((({value}) << ({self.u32(by)} & 31)) >> 32)"
        else:
            a, b, by, *carried = operands
            is_negated = a.startswith("-")
            shifted = f"(u32)({self.u32(a[is_negated:])} << ({self.u32(by)} & 31))"
            shifted = f"negated({shifted})" if is_negated else f"(u64){shifted}"
        is_negated = b.startswith("-") and not is_bits(b) and not is_extended
        terms = [shifted, f"negated({self.u32(b[1:])})" if is_negated else f"(u64){self.u32(b)}"]
        if is_extended:
            terms += [f"(u64)({self.predicate(carry)})" for carry in carried]
        return self.sum(target, terms, carries)

    def do_LOP3(self, modifiers, operands, place):
        test = operands.pop(0) if is_predicate(operands[0]) else None
        target, a, b, c, table, *before = operands
        code = f"{{ u32 l_ = lop3({self.u32(a)}, {self.u32(b)}, {self.u32(c)}, {table});" + self.set(target, "l_")
        return code + (self.set_predicate(test, f"l_ != 0 || {self.predicate(before[0])}") if test else "") + "}"

    def do_PLOP3(self, modifiers, operands, place):
        first, second, a, b, c, table, second_table = operands
        code = f"{{ int i_ = ({self.predicate(a)}) << 2 | ({self.predicate(b)}) << 1 | ({self.predicate(c)});"
        return (
            code + self.set_predicate(first, f"{table} >> i_ & 1") + self.set_predicate(second, f"{second_table} >> i_ & 1") + "}"
        )

    def do_SHF(self, modifiers, operands, place):
        kind = modifiers[1]
        flags = [modifiers[0] == "L", kind.endswith("64"), kind[0] == "S", "HI" in modifiers]
        numbers = [str(int(flag)) for flag in flags] + [self.u32(operand) for operand in operands[1:4]]
        return self.set(operands[0], f"shift({', '.join(numbers)}, {int('W' in modifiers)})")

    def do_IABS(self, modifiers, operands, place):
        value = self.u32(operands[1])
        return self.set(operands[0], f"(s32){value} < 0 ? 0u - {value} : {value}")

    def do_IMNMX(self, modifiers, operands, place):
        kind = "u32" if "U32" in modifiers else "s32"
        target, a, b, is_least = operands
        code = f"{{ {kind} a_ = ({kind}){self.u32(a)}, b_ = ({kind}){self.u32(b)};"
        return code + self.set(target, f"(u32)(({self.predicate(is_least)}) == (a_ < b_) ? a_ : b_)") + "}"

    def do_POPC(self, modifiers, operands, place):
        return self.set(operands[0], f"(u32)__builtin_popcount({self.u32(operands[1])})")

    def do_BREV(self, modifiers, operands, place):
        return self.set(operands[0], f"reversed({self.u32(operands[1])})")

    def do_FLO(self, modifiers, operands, place):
        if "U32" not in modifiers:
            return None
        target, value = [operand for operand in operands if not is_predicate(operand)]
        found = "__builtin_clz(x_)" if "SH" in modifiers else "31 - __builtin_clz(x_)"
        return f"{{ u32 x_ = {self.u32(value)}; {self.set(target, f'x_ ? (u32)({found}) : ~0u')} }}"

    def do_ISETP(self, modifiers, operands, place):
        operation, (first, second, a, b, before, *low) = modifiers[0], operands
        kind = "u32" if "U32" in modifiers else "s32"
        a, b = f"({kind}){self.u32(a)}", f"({kind}){self.u32(b)}"
        if "EX" not in modifiers:
            comparison = f"{a} {COMPARISONS[operation]} {b}"
        elif operation in ("EQ", "NE"):
            comparison = f"{a} {COMPARISONS[operation]} {b} {'&&' if operation == 'EQ' else '||'} {self.predicate(low[0])}"
        else:
            comparison = f"{a} {COMPARISONS[operation][0]} {b} || ({a} == {b} && {self.predicate(low[0])})"
        return f"{{ int c_ = ({comparison});" + self.compared(modifiers, (first, second), "!c_", before) + "}"

    # floats

    def do_FADD(self, modifiers, operands, place):
        target, a, b = operands
        a, b, mode = self.float_in(modifiers, a), self.float_in(modifiers, b), self.rounding(modifiers)
        return self.set(target, f"B({self.float_out(modifiers, f'add_r({a}, {b}, {mode})' if mode else f'({a} + {b})')})")

    def do_FMUL(self, modifiers, operands, place):
        if any(re.fullmatch(r"[DM]\d", modifier) for modifier in modifiers):
            return None
        target, a, b = operands
        a, b, mode = self.float_in(modifiers, a), self.float_in(modifiers, b), self.rounding(modifiers)
        return self.set(target, f"B({self.float_out(modifiers, f'mul_r({a}, {b}, {mode})' if mode else f'({a} * {b})')})")

    def do_FFMA(self, modifiers, operands, place):
        factors = ", ".join(self.float_in(modifiers, operand) for operand in operands[1:4])
        mode = self.rounding(modifiers)
        value = f"fma_r({factors}, {mode})" if mode else f"__builtin_fmaf({factors})"
        return self.set(operands[0], f"B({self.float_out(modifiers, value)})")

    def do_FMNMX(self, modifiers, operands, place):
        target, a, b, is_least = operands
        both = f"{self.float_in(modifiers, a)}, {self.float_in(modifiers, b)}"
        return self.set(target, f"B(({self.predicate(is_least)}) ? fminf({both}) : fmaxf({both}))")

    def do_FSETP(self, modifiers, operands, place):
        first, second, a, b, before = operands
        code = f"{{ float a_ = {self.float_in(modifiers, a)}, b_ = {self.float_in(modifiers, b)};"
        code += f"int c_ = {float_comparison(modifiers[0], 'a_', 'b_')};"
        return code + self.compared(modifiers, (first, second), "!c_", before) + "}"

    def do_DSETP(self, modifiers, operands, place):
        first, second, a, b, before = operands
        code = f"{{ double a_ = {self.f64(a)}, b_ = {self.f64(b)}; int c_ = {float_comparison(modifiers[0], 'a_', 'b_')};"
        return code + self.compared(modifiers, (first, second), "!c_", before) + "}"

    def do_FSET(self, modifiers, operands, place):
        target, a, b, before = operands
        if modifiers[0] != "BF" or "AND" not in modifiers:
            return None
        comparison = float_comparison(modifiers[1], self.float_in(modifiers, a), self.float_in(modifiers, b))
        return self.set(target, f"{comparison} && {self.predicate(before)} ? 0x3f800000u : 0u")

    def do_FCHK(self, modifiers, operands, place):
        return self.set_predicate(operands[0], f"fchk({self.f32(operands[1])}, {self.f32(operands[2])})")

    def do_MUFU(self, modifiers, operands, place):
        if modifiers[0] in ("RCP64H", "RSQ64H"):
            value = f"D((u64){self.u32(operands[1])} << 32)"
            value = f"1.0 / {value}" if modifiers[0] == "RCP64H" else f"1.0 / sqrt({value})"
            return self.set(operands[0], f"(u32)(DB({value}) >> 32)")
        return self.set(operands[0], f"B({FUNCTIONS[modifiers[0]].format(self.f32(operands[1]))})")

    def do_DADD(self, modifiers, operands, place):
        return self.set64(operands[0], f"DB({self.f64(operands[1])} + {self.f64(operands[2])})")

    def do_DMUL(self, modifiers, operands, place):
        return self.set64(operands[0], f"DB({self.f64(operands[1])} * {self.f64(operands[2])})")

    def do_DFMA(self, modifiers, operands, place):
        if self.rounding(modifiers):
            return None
        return self.set64(operands[0], f"DB(__builtin_fma({', '.join(map(self.f64, operands[1:4]))}))")

    def do_I2F(self, modifiers, operands, place):
        target, source = operands
        mode = self.rounding(modifiers)
        if "S64" in modifiers:
            kind, value = "s64", f"(s64){self.u64(source)}"
        elif "U64" in modifiers:
            kind, value = "u64", self.u64(source)
        elif "U32" in modifiers:
            kind, value = "u64", f"(u64){self.u32(source)}"
        elif "U16" in modifiers:
            kind, value = "u64", f"(u64)(uint16_t){self.u32(source)}"
        elif "S16" in modifiers:
            kind, value = "s64", f"(s64)(int16_t){self.u32(source)}"
        elif "S8" in modifiers or "U8" in modifiers:
            return None
        else:
            kind, value = "s64", f"(s64)(s32){self.u32(source)}"
        if "F64" in modifiers:
            return self.set64(target, f"DB((double)({value}))")
        if "F16" in modifiers:
            return self.set(target, f"HB((double)({value}))")
        return self.set(target, f"B(from_{kind}({value}, {mode}))")

    def do_F2I(self, modifiers, operands, place):
        if "F64" in modifiers or "F16" in modifiers:
            return None
        mode = 3 if "TRUNC" in modifiers else 1 if "FLOOR" in modifiers else 2 if "CEIL" in modifiers else 0
        value = f"whole({self.float_in(modifiers, operands[1])}, {mode})"
        if "U64" in modifiers or "S64" in modifiers:
            return self.set64(operands[0], f"to_u64({value})" if "U64" in modifiers else f"(u64)to_s64({value})")
        return self.set(operands[0], f"to_u32({value})" if "U32" in modifiers else f"(u32)to_s32({value})")

    def do_F2F(self, modifiers, operands, place):
        target, source = operands
        kinds = [modifier for modifier in modifiers if modifier in ("F16", "F32", "F64")]
        if kinds == ["F16", "F32"]:
            return self.set(target, f"HB({self.f32(source)})")
        if kinds == ["F32", "F64"]:
            return self.set(target, f"B((float){self.f64(source)})")
        return self.set64(target, f"DB((double){self.f32(source)})") if kinds == ["F64", "F32"] else None

    # pairs of halves

    def do_HADD2(self, modifiers, operands, place):
        a, b = self.halves(operands[1:])
        if "F32" in modifiers:
            return self.set(operands[0], f"B({a[0]} + {b[0]})")
        return self._halves(modifiers, operands[0], [f"(double){a[i]} + (double){b[i]}" for i in (0, 1)])

    def do_HMUL2(self, modifiers, operands, place):
        a, b = self.halves(operands[1:])
        return self._halves(modifiers, operands[0], [f"(double)({a[i]}) * (double)({b[i]})" for i in (0, 1)])

    def do_HFMA2(self, modifiers, operands, place):
        a, b, c = self.halves(operands[1:])
        return self._halves(modifiers, operands[0], [f"(double)({a[i]}) * (double)({b[i]}) + (double)({c[i]})" for i in (0, 1)])

    def _halves(self, modifiers, target, values):
        if any(modifier not in ("MMA", "SAT") for modifier in modifiers):
            return None
        low, high = [f"HB(sat({value}))" if "SAT" in modifiers else f"HB({value})" for value in values]
        return self.set(target, f"{low} | {high} << 16")

    def do_HSETP2(self, modifiers, operands, place):
        first, second, *values, before = operands
        a, b = self.halves(values)
        low, high = (float_comparison(modifiers[0], f"({a[i]})", f"({b[i]})") for i in (0, 1))
        return f"{{ int c_ = {low}, d_ = {high};" + self.compared(modifiers, (first, second), "d_", before) + "}"

    # meetings

    def do_SHFL(self, modifiers, operands, place):
        predicate, target, value, by, bounds = operands
        code = f"t->a = {self.u32(value)}; t->b = {self.u32(by)}; t->c = {self.u32(bounds)};"
        code += self.meet(SHUFFLES[modifiers[0]], place)
        return code + self.set(target, "t->result") + self.set_predicate(predicate, "t->predicate")

    def do_VOTE(self, modifiers, operands, place):
        targets = [operand for operand in operands if not is_predicate(operand)]
        predicates = [operand for operand in operands if is_predicate(operand)]
        code = f"t->a = {self.predicate(predicates[-1])};" + self.meet(VOTES[modifiers[0]], place)
        code += "".join(self.set(target, "t->result") for target in targets)
        return code + (self.set_predicate(predicates[0], "t->predicate") if len(predicates) > 1 else "")

    do_VOTEU = do_OTEU = do_VOTE

    def do_BAR(self, modifiers, operands, place):
        return self.meet("barrier", place) if modifiers[0] == "SYNC" and operands == ["0x0"] else None

    # memory

    def place_of(self, base, operand):
        inner = operand[1:-1]
        if base == "shared" or base == "local":
            return f"(t->{base} + (u32){self.address(inner)})"
        return f"((uint8_t *){self.address(inner, True)})"

    def load(self, base, modifiers, operands):
        target, source = [operand for operand in operands if not is_predicate(operand)]
        words = 4 if "128" in modifiers else 2 if "64" in modifiers else 1
        if words > 1:
            code = f"{{ u32 w_[{words}]; memcpy(w_, {self.place_of(base, source)}, sizeof w_);"
            targets = [self.register(target), *(self.following(target, i) for i in range(1, words))]
            return code + "".join(self.set(to, f"w_[{i}]") for i, to in enumerate(targets)) + "}"
        kinds = {"U16": "uint16_t", "S16": "int16_t", "U8": "uint8_t", "S8": "int8_t"}
        kind = next((kinds[modifier] for modifier in modifiers if modifier in kinds), "u32")
        return f"{{ {kind} w_; memcpy(&w_, {self.place_of(base, source)}, sizeof w_); {self.set(target, '(u32)(s32)w_' if kind[0] == 'i' else 'w_')} }}"

    def store(self, base, modifiers, operands):
        target, source = operands
        words = 4 if "128" in modifiers else 2 if "64" in modifiers else 1
        values = [self.u32(source)]
        values += [self.following(source, i) or "0u" for i in range(1, words)]
        size = 2 if "U16" in modifiers or "S16" in modifiers else 1 if "U8" in modifiers or "S8" in modifiers else 4 * words
        return f"{{ u32 w_[] = {{{', '.join(values)}}}; memcpy({self.place_of(base, target)}, w_, {size}); }}"

    def do_RED(self, modifiers, operands, place):
        return self.do_ATOMG(modifiers, ["RZ", *operands], place)

    def do_ATOMG(self, modifiers, operands, place):
        target, at, value = [operand for operand in operands if not is_predicate(operand)]
        if "ADD" not in modifiers or any(kind in modifiers for kind in ("64", "F16", "F64", "S64")):
            return None
        total = f"B(F(o_) + F({self.u32(value)}))" if "F32" in modifiers else f"o_ + {self.u32(value)}"
        code = f"{{ uint8_t *p_ = {self.place_of('global', at)}; u32 o_; memcpy(&o_, p_, 4); u32 n_ = {total};"
        return code + f"memcpy(p_, &n_, 4); {self.set(target, 'o_')} }}"


# ---- kernels ----


def parameters(elf, name):
    """Offset and size of each, of the attribute EIATTR_KPARAM_INFO."""
    data, found, at = elf.section(f".nv.info.{name}"), {}, 0
    while at < len(data):
        has_bytes, attribute = data[at] == 4, data[at + 1]
        if has_bytes and attribute == 0x17:
            _, number, offset, flags = struct.unpack_from("<IHHI", data, at + 4)
            found[number] = (offset, flags >> 18)
        at += 4 + (struct.unpack_from("<H", data, at + 2)[0] if has_bytes else 0)
    return [found[number] for number in sorted(found)]


def code_of(name, lines):
    translator = Translator()
    body = []
    for i, line in enumerate(lines):
        if line[0] == "label":
            body.append(f"{label(line[1])}:;")
            continue
        _, place, text = line
        neighbours = [lines[j][2] for j in (i - 1, i + 1) if 0 <= j < len(lines) and lines[j][0] == "instruction"]
        is_sync = i + 1 < len(lines) and lines[i + 1][0] == "instruction" and not any(n.startswith("NOP") for n in neighbours)
        guard = re.match(r"^@(!?U?P[\dT])\s+(.*)$", text)
        code = translator.instruction(place, guard[2] if guard else text, is_sync)
        if guard:
            code = f"if ({translator.predicate(guard[1])}) {{ {code} }}"
        if place in translator.returns:
            body.append(f"A_{place:x}:;")
        body.append(f"{code} // {place:04x} {text}")
    declarations = [f"u32 {', '.join(f'{name} = 0' for name in sorted(translator.registers))};"] if translator.registers else []
    declarations += [f"int {', '.join(f'{name} = 0' for name in sorted(translator.predicates))};"] if translator.predicates else []
    cases = "".join(f"case {place}: goto A_{place:x};" for place in sorted(set(translator.returns)))
    returns = (
        [f"goto done; returns: switch (return_) {{ {cases} }} abort();"] if any("goto returns" in line for line in body) else []
    )
    function = ["void kernel(Thread *t) {", "u32 return_ = 0;", *declarations, *body, *returns, "done:;", "}"]
    return function, translator.is_alone


def translate(name, output):
    number = json.load(open(os.path.join(FOLDER, "kernels.json"))).get(name)
    if number is None:
        raise Unknown("there is no code of it")
    elf = Elf(open(os.path.join(FOLDER, "code", f"{number}.cubin"), "rb").read())
    function, is_alone = code_of(name, instructions(name, number))
    shared = len(elf.section(f".nv.shared.{name}") or b"")
    places = parameters(elf, name)
    source = [f"// {name}", '#include "prelude.h"', *function]
    source.append(f"int is_alone = {int(is_alone)}, shared_bytes = {shared}, parameter_count = {len(places)};")
    source.append(f"u32 parameters[] = {{{', '.join(f'{offset}, {size}' for offset, size in places) or '0'}}};")
    for bank in (2, 3, 4):
        data = elf.section(f".nv.constant{bank}.{name}") or elf.section(f".nv.constant{bank}")
        if data:
            source.append(f"const __attribute__((aligned(16))) uint8_t constants{bank}[] = {{{', '.join(map(str, data))}}};")
    file = output[:-3] + ".c"
    open(file, "w").write("\n".join(source))
    runtime = os.path.join(FOLDER, "lib", "libcudart.so.13")
    flags = "-O1 -w -shared -fPIC -march=haswell -ffp-contract=off -frounding-math -fno-strict-aliasing".split()
    subprocess.run(["gcc", *flags, f"-I{HERE}", file, "-o", f"{output}.part", "-lm", runtime], check=True)
    os.rename(f"{output}.part", output)


if __name__ == "__main__":
    os.environ.pop("LD_LIBRARY_PATH", None)  # the compiler's own
    try:
        {"index": index, "stubs": stubs, "translate": translate}[sys.argv[1]](*sys.argv[2:])
    except Unknown as problem:
        sys.exit(f"{' '.join(sys.argv[2:3])}: {problem}")
