//! The tables of the core: columns with their declared types, keys, money.
//!
//! `DECIMAL_TEXT` has SQLite's text affinity, so amounts stay the exact text that was written;
//! a plain `DECIMAL` would turn them into floats.

/// A table of the core, and its feed.
pub(crate) struct Table {
    /// The name of the table and the feed.
    pub(crate) name: &'static str,
    /// The meaning of a row, for display.
    pub(crate) title: &'static str,
    /// Columns and declared types, without `rid` and `updt_time`, which all tables have.
    pub(crate) columns: &'static [(&'static str, &'static str)],
    /// The columns of the business key.
    pub(crate) key: &'static [&'static str],
    /// The columns whose sums are control totals.
    pub(crate) money: &'static [&'static str],
}

const MONEY: &str = "DECIMAL_TEXT(16,2)";
const S6: &str = "VARCHAR(6)";
const S30: &str = "VARCHAR(30)";
const S50: &str = "VARCHAR(50)";
const S200: &str = "VARCHAR(200)";
const T: &str = "DATETIME";

/// All tables, parents first.
pub(crate) const TABLES: [Table; 6] = [
    Table {
        name: "psn_insu",
        title: "insured persons",
        columns: &[
            ("psn_no", S30),
            ("psn_cert_type", S6),
            ("certno", S50),
            ("psn_name", S50),
            ("gend", S6),
            ("naty", S6),
            ("brdy", "DATE"),
            ("age", "DECIMAL_TEXT(4,1)"),
            ("insutype", S6),
            ("psn_type", S6),
            ("psn_insu_stas", S6),
            ("psn_insu_date", "DATE"),
            ("balc", MONEY),
            ("cvlserv_flag", S6),
            ("insuplc_admdvs", S6),
            ("emp_name", S200),
        ],
        key: &["psn_no", "insutype", "insuplc_admdvs"],
        money: &["balc"],
    },
    Table {
        name: "mdtrt",
        title: "visits",
        columns: &[
            ("mdtrt_id", S30),
            ("psn_no", S30),
            ("certno", S50),
            ("psn_name", S50),
            ("gend", S6),
            ("insutype", S6),
            ("psn_type", S6),
            ("insu_optins", S6),
            ("begntime", T),
            ("endtime", T),
            ("mdtrt_cert_type", S6),
            ("med_type", S6),
            ("ipt_otp_no", S30),
            ("atddr_no", S30),
            ("chfpdr_name", S50),
            ("adm_dept_codg", S30),
            ("adm_dept_name", "VARCHAR(100)"),
            ("dscg_maindiag_code", "VARCHAR(20)"),
            ("dscg_maindiag_name", "VARCHAR(300)"),
            ("ipt_days", "INTEGER"),
        ],
        key: &["mdtrt_id"],
        money: &[],
    },
    Table {
        name: "diag",
        title: "diagnoses",
        columns: &[
            ("diag_info_id", S30),
            ("mdtrt_id", S30),
            ("psn_no", S30),
            ("inout_diag_type", S6),
            ("diag_type", S6),
            ("maindiag_flag", S6),
            ("diag_srt_no", "INTEGER"),
            ("diag_code", "VARCHAR(20)"),
            ("diag_name", "VARCHAR(100)"),
            ("diag_dept", S50),
            ("dise_dor_no", S30),
            ("dise_dor_name", S50),
            ("diag_time", T),
        ],
        key: &["diag_info_id"],
        money: &[],
    },
    Table {
        name: "setl",
        title: "settlements",
        columns: &[
            ("setl_id", S30),
            ("mdtrt_id", S30),
            ("psn_no", S30),
            ("certno", S50),
            ("psn_name", S50),
            ("gend", S6),
            ("insutype", S6),
            ("psn_type", S6),
            ("cvlserv_flag", S6),
            ("insu_optins", S6),
            ("pay_loc", S6),
            ("fixmedins_code", "VARCHAR(12)"),
            ("fixmedins_name", S200),
            ("hosp_lv", S6),
            ("begndate", "DATE"),
            ("enddate", "DATE"),
            ("setl_time", T),
            ("med_type", S6),
            ("clr_type", S6),
            ("medfee_sumamt", MONEY),
            ("fulamt_ownpay_amt", MONEY),
            ("overlmt_selfpay", MONEY),
            ("preselfpay_amt", MONEY),
            ("inscp_scp_amt", MONEY),
            ("act_pay_dedc", MONEY),
            ("hifp_pay", MONEY),
            ("pool_prop_selfpay", "DECIMAL_TEXT(5,4)"),
            ("cvlserv_pay", MONEY),
            ("hifes_pay", MONEY),
            ("hifmi_pay", MONEY),
            ("hifob_pay", MONEY),
            ("maf_pay", MONEY),
            ("oth_pay", MONEY),
            ("fund_pay_sumamt", MONEY),
            ("psn_part_amt", MONEY),
            ("acct_pay", MONEY),
            ("psn_cash_pay", MONEY),
            ("hosp_part_amt", MONEY),
            ("balc", MONEY),
            ("medins_setl_id", S30),
            ("refd_setl_flag", S6),
            ("year", S6),
            ("opter_id", "VARCHAR(20)"),
            ("opt_time", T),
        ],
        key: &["setl_id"],
        money: &["medfee_sumamt", "fund_pay_sumamt", "psn_part_amt"],
    },
    Table {
        name: "setl_fund",
        title: "payments by fund",
        columns: &[
            ("setl_id", S30),
            ("fund_pay_type", S6),
            ("inscp_scp_amt", MONEY),
            ("crt_payb_lmt_amt", MONEY),
            ("fund_payamt", MONEY),
            ("fund_pay_type_name", S200),
        ],
        key: &["setl_id", "fund_pay_type"],
        money: &["fund_payamt"],
    },
    Table {
        name: "fee",
        title: "fee lines",
        columns: &[
            ("mdtrt_id", S30),
            ("setl_id", S30),
            ("feedetl_sn", S30),
            ("rx_drord_no", S30),
            ("med_type", S6),
            ("fee_ocur_time", T),
            ("cnt", "DECIMAL_TEXT(16,4)"),
            ("pric", "DECIMAL_TEXT(16,6)"),
            ("det_item_fee_sumamt", MONEY),
            ("pric_uplmt_amt", "DECIMAL_TEXT(16,6)"),
            ("selfpay_prop", "DECIMAL_TEXT(5,4)"),
            ("fulamt_ownpay_amt", MONEY),
            ("overlmt_amt", MONEY),
            ("preselfpay_amt", MONEY),
            ("inscp_scp_amt", MONEY),
            ("chrgitm_lv", S6),
            ("hilist_code", S50),
            ("hilist_name", S200),
            ("list_type", S6),
            ("med_chrgitm_type", S6),
            ("spec", S200),
            ("bilg_dept_codg", S30),
            ("bilg_dr_name", S50),
            ("hosp_appr_flag", S6),
        ],
        key: &["mdtrt_id", "feedetl_sn"],
        money: &["det_item_fee_sumamt"],
    },
];

impl Table {
    /// All columns in order, `rid` and `updt_time` last.
    pub(crate) fn all_columns(&self) -> Vec<&'static str> {
        self.columns
            .iter()
            .map(|(name, _)| *name)
            .chain(["rid", "updt_time"])
            .collect()
    }

    /// The statements that make it.
    pub(crate) fn create(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|(name, kind)| format!("  {name} {kind}"))
            .collect();
        let (name, key) = (self.name, self.key.join(", "));
        format!(
            "CREATE TABLE {name} (\n  rid INTEGER PRIMARY KEY,\n{},\n  updt_time INTEGER NOT NULL,\n  UNIQUE ({key})\n);\n\
             CREATE INDEX {name}_updt ON {name} (updt_time, rid);\n",
            columns.join(",\n")
        )
    }

    /// The statement that adds a row: the columns, then `updt_time`.
    pub(crate) fn insert(&self) -> String {
        let names: Vec<&str> = self
            .columns
            .iter()
            .map(|(name, _)| *name)
            .chain(["updt_time"])
            .collect();
        let marks = vec!["?"; names.len()];
        format!(
            "INSERT INTO {} ({}) VALUES ({})",
            self.name,
            names.join(", "),
            marks.join(", ")
        )
    }
}
