//! Code lists: a small, realistic part of the national ones.

/// ICD-10 codes in the insurance edition, and their names.
pub(crate) const DIAGNOSES: [(&str, &str); 14] = [
    ("I10.x00", "特发性(原发性)高血压"),
    ("E11.900", "2型糖尿病不伴有并发症"),
    ("J06.900", "急性上呼吸道感染"),
    ("J18.900", "肺炎"),
    ("K29.500", "慢性胃炎"),
    ("I25.103", "冠状动脉粥样硬化性心脏病"),
    ("N39.000", "泌尿道感染"),
    ("M54.500", "下背痛"),
    ("I63.900", "脑梗死"),
    ("K80.200", "胆囊结石不伴有胆囊炎"),
    ("J44.100", "慢性阻塞性肺病伴有急性加重"),
    ("C34.900", "支气管或肺恶性肿瘤"),
    ("S82.600", "外踝骨折"),
    ("H25.900", "老年性白内障"),
];

/// Medical institutions: code, name, level.
pub(crate) const INSTITUTIONS: [(&str, &str, &str); 5] = [
    ("H32050100001", "市第一人民医院", "03"),
    ("H32050100017", "市中医医院", "03"),
    ("H32050200032", "城东社区卫生服务中心", "01"),
    ("H32050600008", "江南区人民医院", "02"),
    ("H32059000121", "湖滨门诊部", "01"),
];

/// Departments.
pub(crate) const DEPARTMENTS: [(&str, &str); 6] = [
    ("A03", "内科"),
    ("A04", "外科"),
    ("A07", "儿科"),
    ("A10", "眼科"),
    ("A50", "中医科"),
    ("A20", "急诊医学科"),
];

/// Doctors.
pub(crate) const DOCTORS: [(&str, &str); 6] = [
    ("D320501000011", "王建国"),
    ("D320501000027", "李秀英"),
    ("D320501000045", "张敏"),
    ("D320502000003", "陈静"),
    ("D320506000019", "刘洋"),
    ("D320590000007", "赵磊"),
];

/// Family names and given names.
pub(crate) const FAMILY_NAMES: [&str; 10] = ["王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴"];
/// Given names.
pub(crate) const GIVEN_NAMES: [&str; 12] = [
    "伟", "芳", "娜", "秀英", "敏", "静", "丽", "强", "磊", "军", "洋", "桂兰",
];

/// Areas of insurance.
pub(crate) const AREAS: [&str; 4] = ["320501", "320502", "320506", "320590"];

/// One item of a bill.
#[derive(Debug)]
pub(crate) struct Item {
    /// The national code.
    pub(crate) code: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// The kind of charge (`med_chrgitm_type`).
    pub(crate) kind: &'static str,
    /// `01` fully covered, `02` in part, `03` not.
    pub(crate) level: &'static str,
    /// Price in millionths of a yuan.
    pub(crate) price: i64,
    /// Highest price that is covered, in millionths.
    pub(crate) limit: i64,
    /// The share the insured pays first, in ten-thousandths.
    pub(crate) first_share: i64,
    /// Maximum number of pieces.
    pub(crate) max_pieces: i64,
    /// The unit of a piece.
    pub(crate) spec: &'static str,
}

const fn item(
    (code, name, spec): (&'static str, &'static str, &'static str),
    (kind, level): (&'static str, &'static str),
    (price, limit): (i64, i64),
    first_share: i64,
    max_pieces: i64,
) -> Item {
    Item {
        code,
        name,
        kind,
        level,
        price,
        limit,
        first_share,
        max_pieces,
        spec,
    }
}

/// The billable items.
pub(crate) const ITEMS: [Item; 12] = [
    item(
        ("001101000010000", "普通门诊诊察费", "次"),
        ("02", "01"),
        (15_000_000, 15_000_000),
        0,
        1,
    ),
    item(
        ("002503020010000", "葡萄糖测定", "项"),
        ("04", "01"),
        (7_500_000, 7_500_000),
        0,
        3,
    ),
    item(
        ("002501010150000", "血细胞分析", "次"),
        ("04", "01"),
        (21_000_000, 21_000_000),
        0,
        2,
    ),
    item(
        ("002101020150000", "CT平扫", "部位"),
        ("03", "02"),
        (189_000_000, 180_000_000),
        1_000,
        1,
    ),
    item(
        ("001204000060000", "静脉输液", "组"),
        ("05", "01"),
        (11_000_000, 11_000_000),
        0,
        6,
    ),
    item(
        ("001201000030000", "Ⅱ级护理", "日"),
        ("07", "01"),
        (22_000_000, 22_000_000),
        0,
        12,
    ),
    item(
        ("XC10BAA199A001010102153", "阿托伐他汀钙片", "20mg*7片"),
        ("09", "01"),
        (5_862_500, 5_862_500),
        0,
        8,
    ),
    item(
        ("XC07ABM108A001010183432", "美托洛尔缓释片", "47.5mg*7片"),
        ("09", "02"),
        (1_957_143, 1_900_000),
        500,
        12,
    ),
    item(
        ("XA10BAE046A001020103571", "二甲双胍缓释片", "0.5g*30片"),
        ("09", "01"),
        (13_333_333, 13_333_333),
        0,
        4,
    ),
    item(
        ("ZA01BAX0234010104331", "银杏叶片", "19.2mg*24片"),
        ("11", "02"),
        (17_250_000, 16_500_000),
        1_000,
        5,
    ),
    item(
        ("T000700234", "黄芪", "g"),
        ("10", "01"),
        (93_500, 93_500),
        0,
        300,
    ),
    item(
        ("C0301021230", "一次性使用输液器", "套"),
        ("08", "03"),
        (3_480_000, 0),
        10_000,
        6,
    ),
];
